"""Which tensor of a checkpoint goes where in a model, decided before anything is assigned."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mae.checkpoints.names import DECODER, HEAD, PATCH_BIAS, PATCH_KERNEL, PREDICTION, TABLES
from mae.checkpoints.resize import (
    Patch,
    adapt_patch_channels,
    adapt_predicted_channels,
    interpolate_table,
    resize_patch_kernel,
    resize_prediction,
)
from mae.checkpoints.weights import RELEASED_FRAMES, RELEASED_PIXELS, Weights
from mae.errors import ConfigError, some
from mae.models.positions import position_table
from mae.normalisation import statistics_of
from mae.picture_size import height_and_width
from mae.presets import MAX_TOKENS, PRESETS, Architecture

_SHOWN = 12  # names of a list in an error's one line; all of them are the error's attributes


class UnfitError(ConfigError):
    """A checkpoint and a model do not fit; the lists are complete, in the message they may be cut."""

    def __init__(
        self, message: str, missing: Sequence[str] = (), unexpected: Sequence[str] = (), misshapen: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.missing = list(missing)
        self.unexpected = list(unexpected)
        self.misshapen = list(misshapen)


@dataclass
class Fit:
    """What to assign, and what the report says."""

    arrays: dict[str, np.ndarray]  # our name -> value in the shape of the variable, unless `misshapen`
    fresh: set[str] = field(default_factory=set)  # variables that keep the values they have
    dropped: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    shapes: dict[str, tuple] = field(default_factory=dict)  # of the file, where the value has another already
    interpolated: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fit(
    weights: Weights,
    target: str,
    architecture: Architecture,
    shapes: Mapping[str, tuple],
    allowed: Sequence[str] = (),
    positions: str = "recompute",
) -> Fit:
    """Decides the whole transfer.

    Args:
        target: kind of the model, `pretrainer`, `classifier` or `encoder`.
        shapes: of every variable, by our name.
        allowed: prefixes of variables that may stay as they were initialised.
        positions: one of `POSITION_MODES`, see `mae.checkpoints.load.load_checkpoint`.

    Raises:
        UnfitError: a tensor without use, a variable without a value, a shape that differs, or what changes outputs
            without changing a shape: heads, pooling, the kind of the position table.
    """
    made, wanted = Fit(dict(weights.arrays)), dict(shapes)
    _check_heads(made, weights, architecture)
    _check_pooling(weights, target, wanted)
    _hand_off(made, weights, target, wanted)
    if weights.arrays.get(PATCH_KERNEL, np.zeros(())).ndim in (4, 5):
        patch = _patch_of_file(made.arrays[PATCH_KERNEL], architecture)
        _adapt_channels(made, weights, architecture, patch)
        _adapt_patches(made, architecture, patch)
        _adapt_positions(made, weights, architecture, wanted, positions)
    prefixes = [expanded for prefix in allowed for expanded in (DECODER if prefix == "decoder" else (prefix,))]
    _leave_out(made, wanted, prefixes)
    missing = sorted(wanted.keys() - made.arrays.keys() - made.fresh)
    unexpected = sorted(made.arrays.keys() - wanted.keys())
    misshapen = [path for path in wanted if path in made.arrays and made.arrays[path].shape != wanted[path]]
    if missing or unexpected or misshapen or weights.unknown:
        raise _unfit(weights, target, made, wanted, missing, unexpected, misshapen)
    made.fresh -= made.arrays.keys()
    return made


def _hand_off(made: Fit, weights: Weights, target: str, wanted: Mapping[str, tuple]) -> None:
    """What one kind of model does not take from another, by design."""
    # The norm at the encoder's end belongs to tokens.
    unused = (*DECODER, *(() if "encoder/norm/gamma" in wanted else ("encoder/norm/",)))
    if target == "encoder":
        _drop(made, (*unused, *HEAD, "fc_norm/"))
    elif target == "classifier" and weights.kind != "classifier":
        # The norm before a mean-pooling head starts afresh.
        _drop(made, unused)
        made.fresh |= {path for path in wanted if path.startswith((*HEAD, "fc_norm/"))}
    elif target == "classifier":
        have, want = made.arrays.get("head/kernel"), wanted["head/kernel"]
        if have is not None and have.shape[-1] != want[-1]:
            made.notes.append(f"{have.shape[-1]} classes in the file, {want[-1]} in the model: the head starts afresh")
            _drop(made, HEAD)
            made.fresh |= {path for path in wanted if path.startswith(HEAD)}
    elif weights.kind != "pretrainer":
        _drop(made, (*HEAD, "fc_norm/"))
        if weights.pooling == "mean":
            # What was trained as a classifier ends without the norm that stands before a decoder.
            made.fresh |= {path for path in wanted if path.startswith("encoder/norm/")}


def _drop(made: Fit, prefixes: tuple[str, ...]) -> None:
    for path in [path for path in made.arrays if path.startswith(prefixes)]:
        del made.arrays[path]
        made.dropped.append(path)


def _patch_of_file(kernel: np.ndarray, architecture: Architecture) -> Patch:
    """Frames, rows and columns of its patches; an image model's are repeated over the frames of the model's."""
    frames = kernel.shape[0] if kernel.ndim == 5 else architecture.tubelet_size
    return frames, kernel.shape[-4], kernel.shape[-3]


def _adapt_channels(made: Fit, weights: Weights, architecture: Architecture, patch: Patch) -> None:
    """The embedding of patches, and what predicts them, for the model's channels and what it normalises by."""
    kernel, told, new = made.arrays[PATCH_KERNEL], weights.told, architecture.statistics
    have, want = kernel.shape[-2], architecture.in_channels
    old = statistics_of(have, told.get("mean"), told.get("std"))
    if old == new or PATCH_BIAS not in made.arrays:
        return
    made.shapes[PATCH_KERNEL] = kernel.shape
    adapted = adapt_patch_channels(kernel, made.arrays[PATCH_BIAS], old, new)
    made.arrays[PATCH_KERNEL], made.arrays[PATCH_BIAS] = adapted
    if have == want:
        made.notes.append(
            f"{PATCH_KERNEL} is of pixels normalised by mean {list(old.mean)}, std {list(old.std)}: it is scaled for "
            f"the model's mean {list(new.mean)}, std {list(new.std)}, and embeds the same pixels alike"
        )
        return
    divided = "" if want == 1 else f", divided by {want}"
    how = f"the sum of the {have}{divided}" if want < have else f"the {have} of the file, and their mean for others"
    made.notes.append(f"{have} channels in the file, {want} in the model: filters of patches are {how}")
    for path in PREDICTION:
        if path in made.arrays and made.arrays[path].shape[-1] == math.prod(patch) * have:
            before = made.arrays[path]
            made.arrays[path] = adapt_predicted_channels(before, have, want)
            made.reshaped.append(f"{path} {before.shape} → {made.arrays[path].shape}")


def _adapt_patches(made: Fit, architecture: Architecture, patch: Patch) -> None:
    """The embedding of patches in the variable's shape (pt·ph·pw·c, d), and what predicts them, for the model's."""
    kernel, wanted = made.arrays[PATCH_KERNEL], architecture.tubelet
    resized = resize_patch_kernel(kernel, wanted)
    if (before := made.shapes.get(PATCH_KERNEL, kernel.shape)) != resized.shape:
        made.reshaped.append(f"{PATCH_KERNEL} {before} → {resized.shape}")
    made.arrays[PATCH_KERNEL] = resized.reshape(-1, resized.shape[-1])
    if patch == wanted:
        return
    told = (f"{'×'.join(map(str, size))}" for size in (patch, wanted))
    made.notes.append("patches of {} in the file, of {} in the model: weights are interpolated".format(*told))
    for path in PREDICTION:
        head = made.arrays.get(path)
        if head is not None and head.shape[-1] == math.prod(patch) * architecture.in_channels:
            made.arrays[path] = resize_prediction(head, patch, wanted)
            made.reshaped.append(f"{path} {head.shape} → {made.arrays[path].shape}")


def _adapt_positions(
    made: Fit, weights: Weights, architecture: Architecture, wanted: dict[str, tuple], mode: str
) -> None:
    """Tables for the model's grid. Fixed ones that nothing has to be done about leave `made` and `wanted`."""
    old, new = file_grid(weights), architecture.grid
    for path in [path for path in TABLES if path in wanted]:
        stored = _table(made, path, weights, architecture, wanted[path][-1], mode)
        if stored is None and architecture.positions != "learnable":
            del wanted[path]
        elif stored is not None and old != new and len(stored) == np.prod(old):
            made.arrays[path] = interpolate_table(stored, old, new)
            made.interpolated.append(f"{path} {old} → {new}")


def _table(
    made: Fit, path: str, weights: Weights, architecture: Architecture, width: int, mode: str
) -> np.ndarray | None:
    """The table of the file, stored or computed, that the model is to take; None: it keeps the one it has."""
    grids = old, new = file_grid(weights), architecture.grid
    kind, own = weights.told.get("positions", "sincos"), architecture.positions
    stored = made.arrays.get(path)
    if own == "learnable":
        if stored is None and kind != "learnable" and _has_side(weights, path):
            stored = made.arrays[path] = position_table(kind, old, width)
            made.notes.append(f"{path} starts as the fixed table of the file ({kind})")
        return stored
    if stored is not None and kind != "learnable" and _is_fixed(stored, own, grids, width):
        del made.arrays[path]
        stored, kind = None, own
    if stored is not None and mode == "replace":
        _drop(made, (path,))
        stored = None
    if stored is not None:
        made.notes.append(f"{path} is the file's own; it is kept, and not trained")
    elif _has_side(weights, path) and mode == "interpolate" and kind != "learnable" and (kind != own or old != new):
        stored = made.arrays[path] = position_table(kind, old, width)
    elif _has_side(weights, path) and kind != own:
        if mode != "replace":
            raise _other_positions(weights, kind, own)
        made.notes.append(f"{path} is the model's ({own}): the file was trained with {kind}, so train further")
    return stored


def _has_side(weights: Weights, path: str) -> bool:
    """Whether the file holds the part of the model that a table belongs to."""
    return path == TABLES[0] or weights.kind == "pretrainer"


def _other_positions(weights: Weights, kind: str, own: str) -> UnfitError:
    told = "was trained" if "positions" in weights.told else "does not tell its positions and so counts as trained"
    return UnfitError(
        f"{weights.source} {told} with positions={kind}, and the model has positions={own}: every token would be taken "
        f"for one at another place. Give the model positions={kind} (model.positions={kind}); or load with positions= "
        "(init_positions=) interpolate, which keeps the file's table, or replace, which keeps the model's to be "
        "trained further"
    )


def file_grid(weights: Weights) -> tuple[int, int, int]:
    """Tokens along time, height and width the file was trained with; what it does not say is as released."""
    kernel, told = weights.arrays[PATCH_KERNEL], weights.told
    height, width = height_and_width(told.get("image_size", RELEASED_PIXELS))
    t = told.get("num_frames", RELEASED_FRAMES) // kernel.shape[0] if kernel.ndim == 5 else 1
    grid = t, height // kernel.shape[-4], width // kernel.shape[-3]
    if math.prod(grid) > MAX_TOKENS:
        listed = "×".join(map(str, grid))
        raise UnfitError(f"{weights.source} tells of {listed} tokens; there may be {MAX_TOKENS}")
    return grid


def _is_fixed(stored: np.ndarray, kind: str, grids: Sequence[tuple[int, int, int]], width: int) -> bool:
    """Whether a stored table is the fixed one of `kind`, which the model computes itself."""
    tables = (position_table(kind, grid, width) for grid in grids)
    return any(stored.shape == table.shape and np.allclose(stored, table, atol=1e-5) for table in tables)


def _leave_out(made: Fit, wanted: Mapping[str, tuple], prefixes: Sequence[str]) -> None:
    """A part that may be missing is loaded whole or stays as initialised, whole."""
    if not prefixes:
        return
    part = [path for path in wanted if path.startswith(tuple(prefixes))]
    fits = all(path in made.arrays and made.arrays[path].shape == wanted[path] for path in part)
    extra = [path for path in made.arrays if path.startswith(tuple(prefixes)) and path not in wanted]
    if part and (not fits or extra):
        _drop(made, tuple(prefixes))
        made.fresh |= set(part)


def _check_heads(made: Fit, weights: Weights, architecture: Architecture) -> None:
    """Heads fit every shape, whatever their number: one that the file states must be the model's."""
    released = {
        "num_heads": {preset.embed_dim: preset.num_heads for preset in PRESETS.values()},
        "decoder_num_heads": {preset.decoder_embed_dim: preset.decoder_num_heads for preset in PRESETS.values()},
    }
    for name, of_width in released.items():
        if name == "decoder_num_heads" and weights.kind != "pretrainer":
            continue
        told, have = weights.told.get(name), getattr(architecture, name)
        width = name.replace("num_heads", "embed_dim")
        if told not in (None, have) and weights.told.get(width) == getattr(architecture, width):
            raise UnfitError(f"{weights.source} was made with {name}={told}, the model has {name}={have}")
        usual = of_width.get(getattr(architecture, width), have)
        if told is None and usual != have:
            made.notes.append(f"the file does not tell {name}: the model has {have}, released ones as wide {usual}")


def _check_pooling(weights: Weights, target: str, wanted: Mapping[str, tuple]) -> None:
    """What a trained head reads."""
    if target != "classifier" or weights.kind != "classifier":
        return
    have = "mean" if "fc_norm/gamma" in wanted else "first"
    normed = {"mean": "fc_norm/gamma", "first": "encoder/norm/gamma"}[weights.pooling]
    if weights.pooling != have and normed in weights.arrays:
        raise UnfitError(f"{weights.source} was trained with pooling={weights.pooling}, the model has pooling={have}")


def _unfit(
    weights: Weights,
    target: str,
    made: Fit,
    wanted: Mapping[str, tuple],
    missing: list[str],
    unexpected: list[str],
    misshapen: list[str],
) -> UnfitError:
    theirs = [weights.names.get(path, path) for path in unexpected] + weights.unknown
    shapes = [f"{path} {made.arrays[path].shape} for {wanted[path]}" for path in misshapen]
    parts = [f"{weights.source} ({weights.format}, {weights.kind}) does not fit the {target}"]
    parts.append(f"missing: {some([_with_their_name(weights, path) for path in missing], _SHOWN)}")
    parts.append(f"unexpected: {some(theirs, _SHOWN)}")
    if shapes:
        parts.append(f"shapes differ: {some(shapes, _SHOWN)}")
    if tables := [path for path in misshapen if path in TABLES]:
        tokens = made.arrays[tables[0]].shape[0]
        parts.append(f"its position table is for {tokens} tokens: give the model its image_size= and num_frames=")
    parts.append(weights.closest)
    if target == "pretrainer" and weights.kind != "pretrainer":
        parts.append("it holds no decoder: allow_missing=decoder starts with a fresh one")
    return UnfitError("; ".join(parts), missing, theirs, misshapen)


def _with_their_name(weights: Weights, path: str) -> str:
    theirs = weights.their_name(path)
    return path if theirs is None else f"{path} ({theirs})"
