"""Trained models of any checkpoint, for the commands that use them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mae.checkpoints.load import load_weights
from mae.checkpoints.metadata import PRETRAINED, RELEASED, Training
from mae.checkpoints.names import DECODER
from mae.checkpoints.read import read_weights
from mae.checkpoints.weights import Weights
from mae.cli.commands import to_type
from mae.cli.quoting import hydra_setting
from mae.data.clips import ClipSpec
from mae.data.lists.class_names import read_labels
from mae.data.sampling import CENTERS, KINDS
from mae.data.videos.decoding import Decoding, decoding
from mae.data.windows import ClipPlan
from mae.errors import ConfigError
from mae.files import checksums
from mae.models.classifier import Classifier
from mae.models.pretrainer import Pretrainer
from mae.models.video_encoder import VideoEncoder
from mae.picture_size import PictureSize, shown_size
from mae.presets import Architecture
from mae.seeds import seed_initializers

Sizes = Mapping[str, PictureSize | None]
# Of a random encoder.
_NO_DECODER: dict[str, Any] = {"decoder_embed_dim": 2, "decoder_depth": 1, "decoder_num_heads": 1}
# What the shapes and values of an encoder's weights do not show.
_UNSEEN = ("image_size", "num_frames", "tubelet_size", "num_heads", "layer_norm_epsilon", "positions")


@dataclass(frozen=True)
class Trained:
    """A model with the weights of a checkpoint."""

    model: Any  # Classifier | Pretrainer | VideoEncoder
    source: Path
    checksum: str  # as of `checkpoint_hash`
    class_names: tuple[str, ...]  # of a classifier's outputs; the numbers of those that nobody named
    told: Training  # as the user says, else as the file tells
    sampler: str  # the kind of clips it is shown: dense | segments
    assumed: tuple[str, ...] = ()  # what neither the file tells nor the user says

    @property
    def training(self) -> Training:
        """As most released models were trained, where nothing else is told."""
        return self.told.completed()

    @property
    def frame_stride(self) -> int:
        """Source frames between two frames of a dense clip."""
        assert self.training.frame_stride is not None
        return self.training.frame_stride

    @property
    def decoding(self) -> Decoding:
        """How videos become what it takes."""
        return decoding(self.model.architecture.in_channels, self.told.channels, self.told.window, prefix="")

    @property
    def resize(self) -> str:
        """How videos of another aspect become clips: a name of `mae.options.RESIZES`."""
        return self.told.resize or "crop"

    @property
    def middle_clip(self) -> ClipSpec:
        """The one clip that a command shows of a video."""
        a = self.model.architecture
        return ClipSpec(
            a.num_frames,
            self.frame_stride,
            a.image_size,
            sampler=CENTERS[self.sampler],
            decoding=self.decoding,
            resize=self.resize,
        )

    def plan(self, clips: int, window: float | None, stride: float | None) -> ClipPlan:
        """How videos are cut into clips; arguments and errors as of `ClipPlan`."""
        return ClipPlan(self.model.architecture.num_frames, self.frame_stride, clips, window, stride, self.sampler)

    @property
    def description(self) -> str:
        """For the console."""
        a = self.model.architecture
        spacing = f" at stride {self.frame_stride}" if self.sampler == "dense" else ", one of each segment"
        pixels = "" if self.decoding.channels == "rgb" else f" of {a.in_channels} channels ({self.decoding.channels})"
        size = f"{shown_size(a.image_size)}{pixels}" + ("" if self.resize == "crop" else f" ({self.resize})")
        told = f"{self.source}: {a.num_frames} frames{spacing} (sampler {self.sampler}), {size}"
        return f"{told}; the file does not tell {', '.join(self.assumed)}: assumed" if self.assumed else told


def load_trained(path: str | Path, dtype: Any, sizes: Sizes) -> Trained:
    """The model that a checkpoint is: a pre-training model, a classifier, or an encoder alone.

    Args:
        path: a run directory, or a file or folder of any format.
        dtype: the policy that the model computes in; None: Keras' global one.
        sizes: of `Architecture`, for files that do not tell them; None: as the file says, or as released.

    Raises:
        ConfigError: anything that `load_checkpoint` refuses, or sizes that nothing tells.
    """
    weights = read_weights(path)
    if weights.kind == "pretrainer":
        return _pretrainer(weights, Training(), dtype, sizes, None)
    if weights.kind == "classifier":
        return _classifier(weights, None, Training(), dtype, sizes, None)
    return _encoder(weights, Training(), dtype, sizes, None)


def load_classifier(
    path: str | Path,
    classes: str | None,
    frame_stride: int | None,
    dtype: Any,
    sizes: Sizes,
    sampler: str | None = None,
    resize: str | None = None,
) -> Trained:
    """A classifier with its trained head.

    Args:
        classes: file of label names, see `mae.data.lists.class_names.read_labels`; None: those in the checkpoint.
        frame_stride: None: as the checkpoint tells, else as most released models.
        dtype: the policy that it computes in, see `Engine.dtype_policy`.
        sizes: of `Architecture`, for files that do not tell them; None: as the file says, or as released.
        sampler: dense | segments; None: of the kind the model was trained on, else dense.
        resize: of videos of another aspect; None: as the model was trained, else crop.

    Raises:
        ConfigError: no trained head in it, or anything that `load_checkpoint` refuses.
    """
    weights = read_weights(path)
    if weights.kind != "classifier":
        raise ConfigError(
            f"{path} ({weights.format}, {weights.kind}) holds no trained classification head, only one that was "
            f"trained knows classes; fine-tune first: {to_type('finetune', hydra_setting('init_from', str(path)))}"
        )
    return _classifier(weights, classes, Training(frame_stride, resize=resize), dtype, sizes, sampler)


def load_encoder(
    path: str | Path,
    frame_stride: int | None,
    dtype: Any,
    sizes: Sizes,
    sampler: str | None = None,
    inflate: bool = False,
    resize: str | None = None,
) -> Trained:
    """A model that has the encoder of any checkpoint. Arguments and errors as above, and of `read_weights`."""
    weights, given = read_weights(path, inflate), Training(frame_stride, resize=resize)
    if weights.kind == "classifier":
        return _classifier(weights, None, given, dtype, sizes, sampler)
    weights.arrays = {name: a for name, a in weights.arrays.items() if not name.startswith(DECODER)}
    return _encoder(weights, given, dtype, sizes, sampler)


def load_pretrainer(path: str | Path, given: Training, dtype: Any, sizes: Sizes, sampler: str | None = None) -> Trained:
    """A model with encoder and decoder.

    Args:
        given: what is to be taken instead of what the checkpoint tells of its training.
        dtype, sizes, sampler: as above.

    Raises:
        ConfigError: no decoder in it, or anything that `load_checkpoint` refuses.
    """
    weights = read_weights(path)
    if weights.kind != "pretrainer":
        raise ConfigError(
            f"{path} ({weights.format}, {weights.kind}) holds no decoder, which fine-tuning leaves behind: give the "
            "pre-trained checkpoint"
        )
    return _pretrainer(weights, given, dtype, sizes, sampler)


def _classifier(
    weights: Weights,
    classes: str | None,
    given: Training,
    dtype: Any,
    sizes: Sizes,
    sampler: str | None,
) -> Trained:
    checksum, clips = checkpoint_hash(weights.source), _clips(weights, sizes, given, sampler)
    count = weights.arrays["head/kernel"].shape[-1]
    model = Classifier(
        _architecture(weights, sizes),
        count,
        pooling=weights.pooling,
        task=weights.task,
        name="classifier",
        dtype=dtype,
    )
    model.build_whole()
    report = load_weights(weights, model)
    assert not report.fresh_head
    names = read_labels(Path(classes)) if classes else report.id2label
    if names and sorted(names) != list(range(count)):
        source = classes or weights.source
        raise ConfigError(f"{source} has {len(names)} label names, and the model has {count} classes")
    class_names = tuple(names.get(number, str(number)) for number in range(count))
    return Trained(model, weights.source, checksum, class_names, *clips)


def _encoder(weights: Weights, given: Training, dtype: Any, sizes: Sizes, sampler: str | None) -> Trained:
    checksum, clips = checkpoint_hash(weights.source), _clips(weights, sizes, given, sampler)
    final_norm = "encoder/norm/gamma" in weights.arrays
    model = VideoEncoder(_architecture(weights, sizes), final_norm, name="video_encoder", dtype=dtype)
    model.build_whole()
    load_weights(weights, model)
    return Trained(model, weights.source, checksum, (), *clips)


def _pretrainer(weights: Weights, given: Training, dtype: Any, sizes: Sizes, sampler: str | None) -> Trained:
    checksum, clips = checkpoint_hash(weights.source), _clips(weights, sizes, given, sampler)
    told, kind, assumed = clips
    unknown = [name for name in PRETRAINED if name in RELEASED.told and name not in told.told]
    model = Pretrainer(_architecture(weights, sizes), name="pretrainer", dtype=dtype)
    model.build_whole()
    load_weights(weights, model)
    return Trained(model, weights.source, checksum, (), told, kind, (*assumed, *unknown))


def random_encoder(
    architecture: Architecture, seed: int, dtype: Any, frame_stride: int, sampler: str = "dense"
) -> Trained:
    """A model whose encoder nobody trained, its weights a function of the seed: what pre-training is compared with."""
    seed_initializers(seed)
    model = Pretrainer(replace(architecture, **_NO_DECODER), name="pretrainer", dtype=dtype)
    model.build_whole()
    digest = hashlib.sha256(repr([getattr(architecture, name) for name in _UNSEEN]).encode())
    if (architecture.mean, architecture.std) != (None, None):
        digest.update(repr(architecture.statistics).encode())
    for variable in model.encoder.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).tobytes())
    source = Path(f"random, seed {seed}")
    return Trained(model, source, digest.hexdigest(), (), Training(frame_stride=frame_stride), sampler)


def checkpoint_hash(source: Path) -> str:
    """SHA-256 of a checkpoint: of its file, or of the list of its files' checksums."""
    lines = checksums(source)
    return lines[0] if len(lines) == 1 else hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _architecture(weights: Weights, sizes: Sizes) -> Architecture:
    given = {name: value for name, value in sizes.items() if value is not None}
    told = {**weights.sizes(), **given}
    for side in ("", "decoder_") if weights.kind == "pretrainer" else ("",):
        if f"{side}num_heads" not in told:
            what, width = side.replace("_", "'s "), told[f"{side}embed_dim"]
            raise ConfigError(
                f"{weights.source} ({weights.format}) does not tell its {what}number of heads, and no preset is "
                f"{width} wide: give {side}num_heads=…"
            )
    return weights.architecture(**given)


def _clips(
    weights: Weights, sizes: Sizes, given: Training, sampler: str | None
) -> tuple[Training, str, tuple[str, ...]]:
    """The last three fields of a `Trained`."""
    told = replace(weights.training, **given.told)
    completed = told.completed()
    assert completed.sampler is not None
    kind = sampler or KINDS[completed.sampler]
    spaced = ["frame_stride"] if kind == "dense" and told.frame_stride is None else []
    sampled = ["sampler"] if sampler is None and told.sampler is None else []
    sized = [name for name in weights.assumed if name in ("num_frames", "image_size") and sizes.get(name) is None]
    return told, kind, (*spaced, *sampled, *sized)
