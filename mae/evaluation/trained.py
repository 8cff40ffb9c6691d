"""Trained models of any checkpoint, for the commands that use them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mae.checkpoints.load import load_weights
from mae.checkpoints.names import DECODER
from mae.checkpoints.read import read_weights
from mae.checkpoints.weights import Weights
from mae.data.lists.class_names import read_labels
from mae.errors import ConfigError
from mae.files import checksums
from mae.models.classifier import Classifier
from mae.models.pretrainer import Pretrainer
from mae.presets import Architecture

FRAME_STRIDE = 4  # where neither the file nor the user says it: Kinetics' in the published recipes
# Of an encoder used alone.
_NO_DECODER: dict[str, Any] = {"decoder_embed_dim": 2, "decoder_depth": 1, "decoder_num_heads": 1}
# What the shapes and values of an encoder's weights do not show.
_UNSEEN = ("image_size", "num_frames", "tubelet_size", "num_heads", "layer_norm_epsilon", "positions")


@dataclass(frozen=True)
class Trained:
    """A model with the weights of a checkpoint."""

    model: Any  # Classifier | Pretrainer
    source: Path
    checksum: str  # as of `checkpoint_hash`
    class_names: tuple[str, ...]  # of a classifier; the numbers of those that nobody named
    frame_stride: int

    @property
    def description(self) -> str:
        """For the console."""
        a = self.model.architecture
        return f"{self.source}: {a.num_frames} frames at stride {self.frame_stride}, {a.image_size}×{a.image_size}"


def load_classifier(
    path: str | Path,
    classes: str | None,
    frame_stride: int | None,
    dtype: Any,
    sizes: Mapping[str, int | None],
) -> Trained:
    """A classifier with its trained head.

    Args:
        classes: file of label names, see `mae.data.lists.class_names.read_labels`; None: those in the checkpoint.
        frame_stride: None: that of the checkpoint's run, else `FRAME_STRIDE`.
        dtype: the policy that it computes in, see `Engine.dtype_policy`.
        sizes: of `Architecture`, for files that do not tell them; None: as the file says, or as released.

    Raises:
        ConfigError: no trained head in it, or anything that `load_checkpoint` refuses.
    """
    weights = read_weights(path)
    if weights.kind != "classifier":
        raise ConfigError(
            f"{path} ({weights.format}, {weights.kind}) holds no trained classification head, only one that was "
            f"trained knows classes; fine-tune first: python finetune.py init_from={path}"
        )
    checksum = checkpoint_hash(weights.source)
    count = weights.arrays["head/kernel"].shape[-1]
    model = Classifier(_architecture(weights, sizes), count, pooling=weights.pooling, name="classifier", dtype=dtype)
    model.build()
    report = load_weights(weights, model)
    assert not report.fresh_head
    names = read_labels(Path(classes)) if classes else report.id2label
    if names and sorted(names) != list(range(count)):
        raise ConfigError(f"{classes or path} has {len(names)} label names, and the model has {count} classes")
    class_names = tuple(names.get(number, str(number)) for number in range(count))
    return Trained(model, weights.source, checksum, class_names, frame_stride or _frame_stride(weights))


def load_encoder(path: str | Path, frame_stride: int | None, dtype: Any, sizes: Mapping[str, int | None]) -> Trained:
    """A model whose encoder is that of any checkpoint; what else it has may be fresh. Arguments and errors as above."""
    weights = read_weights(path)
    if weights.kind == "classifier":
        return load_classifier(path, None, frame_stride, dtype, sizes)
    checksum = checkpoint_hash(weights.source)
    weights.arrays = {name: a for name, a in weights.arrays.items() if not name.startswith(DECODER)}
    architecture = _architecture(weights, {**sizes, **_NO_DECODER})
    if "encoder/norm/gamma" in weights.arrays:
        model: Any = Pretrainer(architecture, name="pretrainer", dtype=dtype)
    else:
        model = Classifier(architecture, 1, name="classifier", dtype=dtype)
    model.build()
    load_weights(weights, model, allow_missing="decoder")
    return Trained(model, weights.source, checksum, (), frame_stride or _frame_stride(weights))


def random_encoder(architecture: Architecture, seed: int, dtype: Any, frame_stride: int) -> Trained:
    """A model whose encoder nobody trained, its weights a function of the seed: what pre-training is compared with."""
    keras.utils.set_random_seed(seed)  # Keras' initialisers have no other way to be seeded together
    model = Pretrainer(replace(architecture, **_NO_DECODER), name="pretrainer", dtype=dtype)
    model.build()
    digest = hashlib.sha256(repr([getattr(architecture, name) for name in _UNSEEN]).encode())
    for variable in model.encoder.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).tobytes())
    return Trained(model, Path(f"random, seed {seed}"), digest.hexdigest(), (), frame_stride)


def checkpoint_hash(source: Path) -> str:
    """SHA-256 of a checkpoint: of its file, or of the list of its files' checksums."""
    lines = checksums(source)
    return lines[0] if len(lines) == 1 else hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _architecture(weights: Weights, sizes: Mapping[str, int | None]) -> Architecture:
    given = {name: value for name, value in sizes.items() if value is not None}
    if "num_heads" not in {**weights.sizes(), **given}:
        width = weights.sizes()["embed_dim"]
        raise ConfigError(
            f"{weights.source} ({weights.format}) does not tell its number of heads, and no preset is {width} wide: "
            "give num_heads=…"
        )
    architecture = weights.architecture(**given)
    if architecture.in_channels != 3:
        raise ConfigError(f"{weights.source} takes {architecture.in_channels} channels: video files have 3")
    return architecture


def _frame_stride(weights: Weights) -> int:
    """That of the run, if the weights are a run's."""
    return int(weights.run.get("config", {}).get("dataset", {}).get("frame_stride", FRAME_STRIDE))
