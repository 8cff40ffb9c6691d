"""The loss of pre-training: the error on the patches that are hidden."""

from typing import Any

from mae.engines.engine import Batch, Losses
from mae.models.pretrainer import Pretrainer, clip_losses
from mae.models.tokens import predicted_indices, split_indices
from mae.target_config import Target


def pretraining_losses(
    model: Pretrainer, target: str | Target, num_masked: int, num_predicted: tuple[int, bool] | None = None
) -> Losses:
    """The loss of each clip of a batch with `videos` (b, T, H, W, c) uint8 and `is_masked` (b, n); in training.

    Args:
        target: or its name, see `mae.target_config.Target`.
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
        noise = part.get("path_noise")
        return clip_losses(model, part["videos"], visible, masked, target, noise, True, weights)

    return losses_of
