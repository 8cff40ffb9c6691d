"""What a checkpoint says of its weights besides their values, in every format that is written.

A file holds it as one JSON object (`mae_video`, wherever its format has room): the `architecture`, the
`normalisation` of pixels, how it was trained (`training`) and the names of its classes (`id2label`). Other programs
leave it alone. Released files have none.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mae.data.sampling import SAMPLERS
from mae.errors import ConfigError, check_at_least, check_choice
from mae.masking import MASKS
from mae.options import TARGETS
from mae.patches import channel_statistics
from mae.presets import Architecture

KEY = "mae_video"
KERAS_NOTE = f"{KEY}.json"  # in the zip that a .keras file is


@dataclass(frozen=True)
class Training:
    """How weights were trained. Of a checkpoint None is what it does not tell."""

    frame_stride: int | None = None  # source frames between two frames of a clip
    sampler: str | None = None  # of the clips: a name of `mae.data.sampling.SAMPLERS`
    target: str | None = None  # of a pre-training, as the next two: what the decoder predicts
    masking: str | None = None
    mask_ratio: float | None = None
    step: int | None = None  # updates made
    licence: str | None = None  # of the weights
    fixed_batch: str | None = None  # digest of the clips and masks that the run looked at again and again
    fixed_batch_loss: float | None = None  # of these weights on them

    def __post_init__(self) -> None:
        check_at_least(1, self, "frame_stride")
        for name, choices in (("sampler", SAMPLERS), ("target", TARGETS), ("masking", MASKS)):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), choices)

    @property
    def told(self) -> dict[str, Any]:
        """What is known."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def completed(self) -> "Training":
        """With what most released models have in common, where nothing else is told."""
        return replace(RELEASED, **self.told)


# Kinetics' stride and the published pre-training (VideoMAE, arXiv:2203.12602, appendix).
RELEASED = Training(frame_stride=4, sampler="dense_stride", target="videomae", masking="tube", mask_ratio=0.9)


PRETRAINED = ("target", "masking", "mask_ratio")  # what only a decoder is for


@dataclass(frozen=True)
class Metadata:
    """What one file says."""

    architecture: Architecture
    training: Training = field(default_factory=Training)
    id2label: dict[int, str] = field(default_factory=dict)  # empty: nobody named the classes

    def as_dict(self) -> dict[str, Any]:
        """Of plain values; the inverse of `metadata_from`."""
        mean, std = channel_statistics(self.architecture.in_channels)
        return {
            "architecture": asdict(self.architecture),
            "normalisation": {"mean": list(mean), "std": list(std)},
            "training": self.training.told,
            "id2label": {str(number): name for number, name in self.id2label.items()},
        }

    def as_text(self) -> str:
        """JSON."""
        return json.dumps(self.as_dict())


def metadata_from(told: Mapping[str, Any] | str, source: Path) -> Metadata:
    """What `Metadata.as_dict` or `as_text` gave.

    Raises:
        ConfigError: damaged, of a version that knows more, or pixels normalised as no model here takes them.
    """
    try:
        content = json.loads(told) if isinstance(told, str) else told
        architecture = Architecture(**content["architecture"])
        training = Training(**content.get("training", {}))
        id2label = {int(number): str(name) for number, name in content.get("id2label", {}).items()}
        normalisation = content.get("normalisation")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{source}: what it says of its model is damaged or of a newer version: {error}") from error
    mean, std = channel_statistics(architecture.in_channels)
    if normalisation not in (None, {"mean": list(mean), "std": list(std)}):
        raise ConfigError(
            f"{source} takes pixels normalised by {normalisation}; models of this project by mean {list(mean)}, "
            f"std {list(std)}"
        )
    return Metadata(architecture, training, id2label)


def training_of_run(meta: Mapping[str, Any]) -> Training:
    """What a run of this project noted in its checkpoint."""
    config = meta.get("config", {})
    told = {name: config.get(name) for name in ("target", "masking", "mask_ratio")}
    told |= {"frame_stride": config.get("dataset", {}).get("frame_stride")}
    told |= {"sampler": config.get("data", {}).get("sampler"), "step": meta.get("step")}
    known = meta.get("fixed_batch")
    if known is not None and known["step"] == meta.get("step"):  # of these very weights
        told |= {"fixed_batch": known["digest"], "fixed_batch_loss": known["loss"]}
    return Training(**told)
