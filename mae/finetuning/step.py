"""The step function of fine-tuning: cross-entropy against mixed, smoothed labels."""

from typing import Any

import tensorflow as tf

from mae.engines.tensorflow.optimizer import Optimizer
from mae.engines.tensorflow.step import Batch, path_noise, update_step
from mae.finetuning.mixing import mix, soft_cross_entropy, soft_targets
from mae.models.classifier import Classifier
from mae.patches import normalise
from mae.training.loop import StepFunction


def finetuning_step(
    strategy: tf.distribute.Strategy,
    model: Classifier,
    optimizer: Optimizer,
    *,
    label_smoothing: float,
    group: int | None,
    batch_size: int,
    accumulate: int = 1,
    jit: bool = False,
) -> StepFunction:
    """A compiled function of a distributed batch with `label` and, where clips are mixed, `mixture`, the same
    `Mixture.row()` for every clip of a global batch; see `mae.engines.tensorflow.step.update_step`.

    Args:
        group: neighbouring clips that are mixed in pairs, see `mae.finetuning.mixing.partners`; None: none are.
    """

    def losses_of(part: Batch) -> Any:
        videos = tf.cast(part["videos"], tf.float32) / 255
        targets = soft_targets(part["label"], model.num_classes, label_smoothing)
        if group is not None:
            videos, targets = mix(videos, targets, part["valid"], part["mixture"], group)
        noise = path_noise(part, model.architecture.depth)
        logits = model(normalise(videos, model.architecture.in_channels), path_noise=noise, training=True)
        return soft_cross_entropy(logits, targets)

    return update_step(strategy, model, optimizer, losses_of, batch_size=batch_size, accumulate=accumulate, jit=jit)
