"""The step function of fine-tuning: one labelled batch in, one update made, scalars out."""

from typing import Any

import tensorflow as tf

from mae.models.classifier import Classifier
from mae.patches import normalise
from mae.training.mixing import mix, soft_cross_entropy, soft_targets
from mae.training.optimizer import Optimizer
from mae.training.pretraining import Batch, StepFunction, _accumulated, _path_noise, _raw


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
    """A compiled function of a distributed batch: that of `mae.data.pipeline` with `label` and, where clips are mixed,
    `mixture`, the same `Mixture.row()` for every clip of a global batch.

    The loss is the sum of the clips' cross-entropies divided by the number of readable clips in the whole update: over
    all replicas and all `accumulate` parts. Gradients of the parts are added up in float32 and reduced once.

    Args:
        group: neighbouring clips that are mixed in pairs, see `mae.training.mixing.partners`; None: none are.
        batch_size: clips in an update, over all replicas and parts.

    Returns:
        A function that gives float32 scalars: `loss`, `bad_clips`, `decode_ms` (mean per clip) and those of
        `Optimizer.apply`.
    """

    def losses_of(part: Batch) -> Any:
        videos = tf.cast(part["videos"], tf.float32) / 255
        targets = soft_targets(part["label"], model.num_classes, label_smoothing)
        if group is not None:
            videos, targets = mix(videos, targets, part["valid"], part["mixture"], group)
        logits = model(
            normalise(videos, model.architecture.in_channels), path_noise=_path_noise(part, model), training=True
        )
        return soft_cross_entropy(logits, targets)

    @tf.function(jit_compile=jit)
    def loss_and_gradients(part: Batch) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(losses_of(part) * part["valid"]) / batch_size
        return loss, tape.gradient(loss, _raw(model), unconnected_gradients=tf.UnconnectedGradients.NONE)

    def replica_step(batch: Batch) -> dict[str, tf.Tensor]:
        loss, gradients = _accumulated(loss_and_gradients, batch, accumulate, _raw(model))
        context = tf.distribute.get_replica_context()
        loss, valid, decode_ms = context.all_reduce(
            tf.distribute.ReduceOp.SUM,
            [loss, tf.reduce_sum(batch["valid"]), tf.reduce_sum(batch["decode_ms"])],
        )
        # 1 unless videos were unreadable, whose clips count for nothing.
        share = batch_size / tf.maximum(valid, 1.0)
        applied = optimizer.apply([gradient * share for gradient in gradients], model.trainable_variables)
        return {"loss": loss * share, **applied, "bad_clips": batch_size - valid, "decode_ms": decode_ms / batch_size}

    @tf.function
    def step(batch: Any) -> dict[str, tf.Tensor]:
        per_replica = strategy.run(replica_step, args=(batch,))
        return {name: strategy.experimental_local_results(value)[0] for name, value in per_replica.items()}

    return step
