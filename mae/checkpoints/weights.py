"""The weights of a checkpoint in one form, whatever format they came in."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints.metadata import Metadata, Training
from mae.checkpoints.names import DECODER, PATCH_KERNEL
from mae.errors import ConfigError, shown, some
from mae.options import CLASSIFICATION
from mae.presets import COMPUTED, PRESETS, Architecture

RELEASED_FRAMES, RELEASED_PIXELS = 16, 224  # what files that do not say it were trained with
RELEASED_EPSILON = 1e-6
# Sizes that tensors show, whatever the file states.
_SEEN = ("tubelet_size", "patch_size", "in_channels", "embed_dim", "depth", "mlp_ratio", "decoder_embed_dim",
         "decoder_depth")  # fmt: skip
_FIRST_BIAS = "encoder/block_0/mlp/fc1/bias"  # as long as the MLP is wide
_SHOWN = 4  # names of tensors without a place
_FREE_VALUES = 1 << 24  # in a position table, as for 64 frames of 448² of a small model
# Sizes that neither a tensor's shape nor its name shows.
_UNSEEN = ("num_frames", "image_size", "positions", "layer_norm_epsilon", "num_heads", "decoder_num_heads")


def _no_names_of_its_own(ours: str) -> None:
    """`Weights.their_name` of a format that calls weights as we do."""


@dataclass
class Weights:
    """What one checkpoint holds.

    `arrays` is keyed by our variable paths without the model's name. Kernels are (in, out), except that the
    embedding of patches keeps its axes, (pt, ph, pw, c, width), or (ph, pw, c, width) of an image model.
    """

    source: Path
    format: str  # as the report says it
    arrays: dict[str, np.ndarray]
    names: dict[str, str] = field(default_factory=dict)  # our name -> the file's, for messages
    their_name: Callable[[str], str | None] = _no_names_of_its_own  # what the format calls a weight that is not there
    unknown: list[str] = field(default_factory=list)  # tensors for which the format's table has no place
    set_aside: list[str] = field(default_factory=list)  # entries that are no weights of a model, as an optimizer's
    told: dict[str, Any] = field(default_factory=dict)  # fields of `Architecture` that the file states
    id2label: dict[int, str] = field(default_factory=dict)
    training: Training = field(default_factory=Training)  # as far as the file tells
    task: str = CLASSIFICATION  # of a classifier

    @property
    def kind(self) -> str:
        """`pretrainer`, `classifier` or `encoder`."""
        if any(path.startswith(DECODER) for path in self.arrays):
            return "pretrainer"
        return "classifier" if "head/kernel" in self.arrays else "encoder"

    @property
    def pooling(self) -> str:
        """What the head of a classifier reads."""
        return "mean" if "fc_norm/gamma" in self.arrays else "first"

    @property
    def layer_norm_epsilon(self) -> float:
        return self.told.get("layer_norm_epsilon", RELEASED_EPSILON)

    @property
    def head_norm_epsilon(self) -> float | None:
        """Of decoder/norm and fc_norm, where it differs from the other norms'."""
        return self.told.get("head_norm_epsilon")

    @property
    def closest(self) -> str:
        """Which layout the tensors are nearest to, for messages about those that do not fit."""
        known = len(self.arrays)
        return f"closest layout: {self.format}, {self.kind} ({known} of {known + len(self.unknown)} names)"

    def place(self, name: str, ours: str | None, array: np.ndarray) -> None:
        """Takes a tensor, which the file calls `name`; None, or a weight that there is already: it has no place."""
        if ours is None or ours in self.arrays:
            self.unknown.append(name)
        else:
            self.arrays[ours] = array
            self.names[ours] = name

    def take(self, metadata: Metadata) -> None:
        """Notes what this project wrote beside the weights; what the format itself states stays as it is."""
        self.told = {**asdict(metadata.architecture), **self.told}
        self.training = metadata.training
        if self.kind == "classifier":
            self.id2label = self.id2label or metadata.id2label
            self.task = metadata.task

    @property
    def assumed(self) -> list[str]:
        """Of `sizes`, those that the file does not tell: they are as most released files have them."""
        return [name for name in _UNSEEN if name in self.sizes() and name not in self.told]

    def sizes(self) -> dict[str, Any]:
        """Fields of `Architecture`: what the file states, what its shapes show, and what the release's files share.

        Heads cannot be seen in a shape: they are those of the preset of the same width, if there is one.

        Raises:
            ConfigError: weights that any model has are missing.
        """
        sizes: dict[str, Any] = {"num_frames": RELEASED_FRAMES, "image_size": RELEASED_PIXELS, "positions": "sincos"}
        sizes["layer_norm_epsilon"] = RELEASED_EPSILON
        kernel = self._array(PATCH_KERNEL)
        if kernel.ndim not in (4, 5):
            raise ConfigError(f"{self.source} ({self.format}): {PATCH_KERNEL} is {kernel.shape}; expected 4 or 5 axes")
        if kernel.ndim == 5:
            sizes["tubelet_size"] = kernel.shape[0]
        sizes |= {"patch_size": kernel.shape[-3], "in_channels": kernel.shape[-2], "embed_dim": kernel.shape[-1]}
        sizes["depth"] = self._depth("encoder")
        sizes["mlp_ratio"] = self._array(_FIRST_BIAS).shape[0] / sizes["embed_dim"]
        heads = {preset.embed_dim: preset.num_heads for preset in PRESETS.values()}
        sizes |= {"num_heads": heads.get(sizes["embed_dim"])}
        if self.kind == "pretrainer":
            sizes["decoder_embed_dim"] = self._array("decoder/norm/gamma").shape[0]
            sizes["decoder_depth"] = self._depth("decoder")
            heads = {preset.decoder_embed_dim: preset.decoder_num_heads for preset in PRESETS.values()}
            sizes["decoder_num_heads"] = heads.get(sizes["decoder_embed_dim"])
        self._check_told(sizes)
        sizes |= self.told
        return {name: value for name, value in sizes.items() if value is not None}

    def architecture(self, **overrides: Any) -> Architecture:
        """The architecture the file was made with.

        Raises:
            ConfigError: neither the file nor `overrides` tell the number of heads.
        """
        own = self.sizes()
        self._check_whole(own)
        sizes = {**own, **overrides}
        needed = ["num_heads", *(["decoder_num_heads"] if self.kind == "pretrainer" else [])]
        if missing := [name for name in needed if name not in sizes]:
            raise ConfigError(
                f"{self.source} ({self.format}) does not tell {' and '.join(missing)}, and no preset is "
                f"{sizes['embed_dim']} wide: give {' '.join(f'{name}=…' for name in missing)}"
            )
        try:
            architecture = Architecture(**sizes)
        except ConfigError as error:
            raise ConfigError(f"{self.source} ({self.format}): {error}") from error
        self._check_proportion(architecture)
        return architecture

    def check_arrays(self) -> None:
        """Raises `ConfigError` where a weight can be none of any model, whatever its size."""
        for path, array in self.arrays.items():
            if array.dtype.kind != "f" or not 1 <= array.ndim <= 5 or not array.size:
                raise ConfigError(
                    f"{self.source}: {self.names.get(path, path)} is an array of {array.dtype} of the shape "
                    f"{array.shape}; expected floats, of one to five axes, none of them empty"
                )
        shown_by = [PATCH_KERNEL, _FIRST_BIAS, *(["decoder/norm/gamma"] if self.kind == "pretrainer" else [])]
        if all(path in self.arrays for path in shown_by):
            self.sizes()  # does what the file states agree with what its tensors show?

    def _check_told(self, seen: Mapping[str, Any]) -> None:
        """What the file states of its tensors must be what they show."""
        for name in _SEEN:
            told = self.told.get(name)
            same = told == seen.get(name)
            if name == "mlp_ratio" and told is not None:
                same = round(told * seen["embed_dim"]) == round(seen[name] * seen["embed_dim"])
            if None not in (told, seen.get(name)) and not same:
                raise ConfigError(
                    f"{self.source} ({self.format}) states {name}={shown(told)}, and its tensors are those of "
                    f"{name}={seen[name]}"
                )

    def _check_whole(self, sizes: Mapping[str, Any]) -> None:
        """Raises `ConfigError` unless the large weights of each block are there, of one width.

        So a model takes memory as its file does, whatever the number of a block, or a small tensor, claims.
        """
        sides = {"encoder": ("embed_dim", "depth")}
        if self.kind == "pretrainer":
            sides["decoder"] = ("decoder_embed_dim", "decoder_depth")
        for side, (name, depth) in sides.items():
            width = sizes[name]
            for block in range(min(sizes[depth], len(self.arrays))):
                prefix = f"{side}/block_{block}"
                shapes = {
                    f"{prefix}/attention/qkv/kernel": (width, 3 * width),
                    f"{prefix}/mlp/fc1/kernel": (width, round(width * sizes["mlp_ratio"])),
                }
                for path, shape in shapes.items():
                    if (have := self._array(path).shape) != shape:
                        raise ConfigError(f"{self.source} ({self.format}): {path} is {have}, in a model of {shape}")

    def _check_proportion(self, a: Architecture) -> None:
        """Raises `ConfigError` for sizes, none of which a weight shows, that would make a small file a large model."""
        widest = max(a.embed_dim, a.decoder_embed_dim if self.kind == "pretrainer" else 0)
        values = sum(array.size for array in self.arrays.values())
        if widest * max(a.num_tokens, a.patch_dim) > max(_FREE_VALUES, 4 * values):
            raise ConfigError(
                f"{self.source} ({self.format}): a model of num_frames={a.num_frames}, image_size={a.image_size}, "
                f"tubelets of {a.tubelet} and {a.in_channels} channels is out of proportion to its {values} values"
            )

    def _array(self, path: str) -> np.ndarray:
        if path not in self.arrays:
            unknown = f"; unexpected: {some(self.unknown, _SHOWN)}" if self.unknown else ""
            raise ConfigError(
                f"{self.source} ({self.format}) has no {path}: not a complete VideoMAE model{unknown}; {self.closest}"
            )
        return self.arrays[path]

    def _depth(self, side: str) -> int:
        numbers = [int(m[1]) for path in self.arrays if (m := re.match(rf"{side}/block_(\d+)/", path))]
        return max(numbers, default=-1) + 1


def model_kind(model: Any) -> str:
    """`pretrainer`, `classifier` or `encoder`."""
    if hasattr(model, "decoder"):
        return "pretrainer"
    return "classifier" if hasattr(model, "head") else "encoder"


def model_variables(model: Any) -> dict[str, Any]:
    """The variables of a model that a checkpoint holds, under the names of `Weights.arrays`."""
    paths = {variable.path.split("/", 1)[1]: variable for variable in model.variables}
    return {path: variable for path, variable in paths.items() if not path.endswith("seed_generator_state")}


def weights_of(model: Any, source: Path, format: str) -> Weights:
    """The weights of a model of this project."""
    arrays = {path: np.asarray(variable.numpy()) for path, variable in model_variables(model).items()}
    return own_weights(arrays, model.architecture, source, format)


def own_weights(arrays: Mapping[str, np.ndarray], architecture: Architecture, source: Path, format: str) -> Weights:
    """Weights that carry our names and shapes already; how they were computed with is not how they have to be."""
    arrays = dict(arrays)
    told = {name: value for name, value in asdict(architecture).items() if name not in COMPUTED}
    if PATCH_KERNEL in arrays:
        shape = (*architecture.tubelet, architecture.in_channels, architecture.embed_dim)
        if arrays[PATCH_KERNEL].size != math.prod(shape):
            raise ConfigError(
                f"{source}: {PATCH_KERNEL} is {arrays[PATCH_KERNEL].shape}, in an architecture of {shape}"
            )
        arrays[PATCH_KERNEL] = arrays[PATCH_KERNEL].reshape(shape)
    return Weights(source, format, arrays, names={path: path for path in arrays}, told=told)
