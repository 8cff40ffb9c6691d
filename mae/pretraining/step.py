"""The step function of pre-training: the error on the patches that are hidden."""

from typing import Any

import tensorflow as tf

from mae.engines.tensorflow.optimizer import Optimizer
from mae.engines.tensorflow.step import Batch, path_noise, update_step
from mae.models.pretrainer import Pretrainer, clip_losses
from mae.models.tokens import predicted_indices, split_indices
from mae.training.loop import StepFunction


def pretraining_step(
    strategy: tf.distribute.Strategy,
    model: Pretrainer,
    optimizer: Optimizer,
    *,
    target: str,
    num_masked: int,
    num_predicted: tuple[int, bool] | None = None,
    batch_size: int,
    accumulate: int = 1,
    jit: bool = False,
) -> StepFunction:
    """A compiled function of a distributed batch with `is_masked`; see `mae.engines.tensorflow.step.update_step`.

    Args:
        num_masked: True values in each row of `is_masked`.
        num_predicted: see `mae.masking.num_predicted`, for batches with `is_decoder_masked` (dual masking).
    """

    def losses_of(part: Batch) -> Any:
        visible, masked = split_indices(part["is_masked"], num_masked)
        weights = None
        if num_predicted is not None and "is_decoder_masked" in part:
            predicted, is_same_for_all = num_predicted
            masked, weights = predicted_indices(part["is_masked"], part["is_decoder_masked"], predicted)
            weights = None if is_same_for_all else weights  # which are all ones
        noise = path_noise(part, model.architecture.depth)
        return clip_losses(model, part["videos"], visible, masked, target, noise, True, weights)

    return update_step(strategy, model, optimizer, losses_of, batch_size=batch_size, accumulate=accumulate, jit=jit)
