"""The loss of fine-tuning: what a head says of mixed clips against their mixed targets."""

from typing import Any

from mae.engines.engine import Batch, Losses
from mae.finetuning.losses import TaskLoss
from mae.finetuning.mixing import mix
from mae.models.classifier import Classifier
from mae.patches import in_unit_range, normalise


def finetuning_losses(model: Classifier, loss: TaskLoss, group: int | None) -> Losses:
    """The loss of each clip of a batch with `videos` (b, T, H, W, c) uint8, `label` (b, …) and, where clips are mixed,
    `mixture`, the same `Mixture.row()` for every clip of a global batch; in training.

    Args:
        loss: of the task.
        group: neighbouring clips that are mixed in pairs, see `mae.finetuning.mixing.partners`; None: none are.
    """

    def losses_of(part: Batch) -> Any:
        videos = in_unit_range(part["videos"])
        targets = loss.targets(part["label"])
        if group is not None:
            videos, targets = mix(videos, targets, part["valid"], part["mixture"], group)
        noise = part.get("path_noise")
        outputs = model(normalise(videos, model.architecture.statistics), path_noise=noise, training=True)
        return loss.losses(outputs, targets)

    return losses_of
