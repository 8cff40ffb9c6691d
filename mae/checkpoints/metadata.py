"""What a checkpoint says of its weights besides their values, in every format that is written.

A file holds it as one JSON object (`mae_video`, wherever its format has room): the `architecture`, the
`normalisation` of pixels, how it was trained (`training`), the names of its classes (`id2label`) and, where it does
something else than to tell classes apart, its `task`. Other programs leave it alone. Released files have none.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from mae.checkpoints.schema import (
    above_zero,
    check,
    class_names,
    json_object,
    optional,
    share,
    table,
    text,
    whole,
)
from mae.data.sampling import SAMPLERS
from mae.data.videos.decoding import check_window
from mae.errors import ConfigError, check_choice, shown
from mae.masking import MASKS
from mae.options import CHANNELS, CLASSIFICATION, MASK_MOTIONS, RESIZES, TASKS
from mae.presets import Architecture
from mae.target_config import DIFFERENCE, Target

KEY = "mae_video"
KERAS_NOTE = f"{KEY}.json"  # in the zip that a .keras file is


_RULES = {
    "frame_stride": whole(1, 1 << 20),
    "mask_ratio": share(),
    "step": whole(0, 1 << 62),
    "licence": text(),
    "fixed_batch": text(),
    "fixed_batch_loss": above_zero(1e9),
    "target_pixels": share(),
    "mask_motion_share": share(),
}


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
    target_scale: str | None = None  # of a target of differences, as the next one; see `mae.target_config.Target`
    target_pixels: float | None = None
    loss_weight: str | None = None  # None: all patches counted the same
    mask_motion: str | None = None  # hide | keep: masks followed motion; None: they did not
    mask_motion_share: float | None = None
    channels: str | None = None  # of pixels: a name of `mae.options.CHANNELS`; None: rgb
    window: tuple[float, float] | None = None  # of arrays: what became black and white; None: they were uint8
    resize: str | None = None  # of videos of another aspect: a name of `mae.options.RESIZES`; None: crop

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            check("how weights were trained", name, getattr(self, name), optional(rule))
        masks = (("masking", MASKS), ("mask_motion", MASK_MOTIONS))
        for name, choices in (("sampler", SAMPLERS), ("channels", CHANNELS), ("resize", RESIZES), *masks):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), choices)
        object.__setattr__(self, "window", check_window(self.window, ""))  # a tuple, whatever list it was in a file
        _ = self.predicted  # raises for what is no target

    @property
    def predicted(self) -> Target:
        """What the decoder predicts, as far as it is told."""
        settings: dict[str, Any] = {
            "name": self.target,
            "scale": self.target_scale,
            "pixels": self.target_pixels,
            "weight": self.loss_weight,
        }
        return Target(**{name: value for name, value in settings.items() if value is not None})

    @property
    def told(self) -> dict[str, Any]:
        """What is known."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def completed(self) -> "Training":
        """With what most released models have in common, where nothing else is told."""
        return replace(RELEASED, **self.told)


# Kinetics' stride and the published pre-training (VideoMAE, arXiv:2203.12602, appendix).
RELEASED = Training(frame_stride=4, sampler="dense_stride", target="videomae", masking="tube", mask_ratio=0.9)


# What only a decoder is for.
_MASKED = ("masking", "mask_ratio", "mask_motion", "mask_motion_share")
PRETRAINED = ("target", "target_scale", "target_pixels", "loss_weight", *_MASKED)


@dataclass(frozen=True)
class Metadata:
    """What one file says."""

    architecture: Architecture
    training: Training = field(default_factory=Training)
    id2label: dict[int, str] = field(default_factory=dict)  # empty: nobody named the classes
    task: str = CLASSIFICATION  # what the outputs of a classifier are, of `mae.options.TASKS`

    def as_dict(self) -> dict[str, Any]:
        """Of plain values; the inverse of `metadata_from`."""
        mean, std = self.architecture.statistics
        sizes = asdict(self.architecture)
        # Only what changes anything: a file that says no more than earlier versions know is read by them.
        told = {name: value for name, value in sizes.items() if value is not None or name not in ("mean", "std")}
        task = {} if self.task == CLASSIFICATION else {"task": self.task}
        return {
            **task,
            "architecture": told,
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
        content = json_object(KEY, told) if isinstance(told, str) else check(KEY, "its value", told, table())
        architecture = architecture_from(check(KEY, "architecture", content.get("architecture"), table()), KEY)
        training = _training_from(check(KEY, "training", content.get("training", {}), table()), KEY)
        id2label = class_names(KEY, "id2label", content.get("id2label"))
        task = task_from(content, KEY)
        normalisation = content.get("normalisation")
        check(KEY, "normalisation", normalisation, optional(table()))
    except ConfigError as error:
        raise ConfigError(f"{source}: what it says of its model is damaged or of a newer version: {error}") from error
    mean, std = architecture.statistics
    # As text: a file may hold there what cannot be compared.
    if normalisation is not None and _listed(normalisation) != {"mean": list(mean), "std": list(std)}:
        raise ConfigError(
            f"{source} takes pixels normalised by {_listed(normalisation)}, and its architecture by mean {list(mean)}, "
            f"std {list(std)}"
        )
    return Metadata(architecture, training, id2label, task)


def task_from(told: Mapping[str, Any], source: str | Path) -> str:
    """The task of the head that a file says it has; classification where it does not say.

    Raises:
        ConfigError: no such task.
    """
    task = told.get("task", CLASSIFICATION)
    try:
        check_choice("task", task, TASKS)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    return str(task)


def architecture_from(told: Any, source: str | Path) -> Architecture:
    """The architecture that a table of its fields is.

    Raises:
        ConfigError: no table, with a field that there is not, or a value that the field does not take.
    """
    check(source, "architecture", told, table())
    try:
        for name in told:
            check_choice("the size", name, [field.name for field in fields(Architecture)])
        return Architecture(**told)
    except ConfigError as error:
        raise ConfigError(f"{source}: architecture: {error}") from error


def _training_from(told: Mapping[str, Any], source: str) -> Training:
    try:
        for name in told:
            check_choice("the field", name, [field.name for field in fields(Training)])
        return Training(**told)
    except ConfigError as error:
        raise ConfigError(f"{source}: training: {error}") from error


def _listed(normalisation: Mapping[str, Any]) -> dict[str, Any]:
    """A table of numbers, or of what a message says of other things."""
    return {
        str(name)[:20]: [number if isinstance(number, float) else shown(number) for number in value[:8]]
        if isinstance(value, list)
        else shown(value)
        for name, value in list(normalisation.items())[:4]
    }


def training_of_run(meta: Mapping[str, Any], source: str | Path) -> Training:
    """What a run of this project noted in its checkpoint.

    Raises:
        ConfigError: values that no run notes.
    """
    config = check(source, "config", meta.get("config", {}), table())
    told = {name: config.get(name) for name in ("target", "masking", "mask_ratio")}
    # Only what changes anything: a file that says no more than earlier versions know is read by them.
    if config.get("target") == DIFFERENCE:
        told |= {name: config.get(name) for name in ("target_scale", "target_pixels")}
    if config.get("loss_weight") != "none":
        told["loss_weight"] = config.get("loss_weight")
    if config.get("mask_motion") != "none":
        told |= {name: config.get(name) for name in ("mask_motion", "mask_motion_share")}
    dataset = check(source, "config.dataset", config.get("dataset") or {}, table())
    data = check(source, "config.data", config.get("data") or {}, table())
    told |= {"frame_stride": dataset.get("frame_stride"), "sampler": data.get("sampler")}
    told |= {name: meta.get(name) for name in ("step", "licence")}
    if data.get("channels") != "rgb":
        told["channels"] = data.get("channels")
    told["window"] = data.get("window")
    if data.get("resize") != "crop":
        told["resize"] = data.get("resize")
    known = check(source, "fixed_batch", meta.get("fixed_batch") or {}, table())
    if known and known.get("step") == meta.get("step"):  # of these very weights
        told |= {"fixed_batch": known.get("digest"), "fixed_batch_loss": known.get("loss")}
    try:
        return Training(**told)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
