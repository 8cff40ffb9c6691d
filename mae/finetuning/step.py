"""The loss of fine-tuning: cross-entropy against mixed, smoothed labels."""

from typing import Any

from mae.engines.engine import Batch, Losses
from mae.finetuning.mixing import mix, soft_cross_entropy, soft_targets
from mae.models.classifier import Classifier
from mae.patches import in_unit_range, normalise


def finetuning_losses(model: Classifier, label_smoothing: float, group: int | None) -> Losses:
    """The loss of each clip of a batch with `videos` (b, T, S, S, c) uint8, `label` (b,) and, where clips are mixed,
    `mixture`, the same `Mixture.row()` for every clip of a global batch; in training.

    Args:
        group: neighbouring clips that are mixed in pairs, see `mae.finetuning.mixing.partners`; None: none are.
    """

    def losses_of(part: Batch) -> Any:
        videos = in_unit_range(part["videos"])
        targets = soft_targets(part["label"], model.num_classes, label_smoothing)
        if group is not None:
            videos, targets = mix(videos, targets, part["valid"], part["mixture"], group)
        noise = part.get("path_noise")
        logits = model(normalise(videos, model.architecture.statistics), path_noise=noise, training=True)
        return soft_cross_entropy(logits, targets)

    return losses_of
