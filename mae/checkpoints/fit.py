"""Which tensor of a checkpoint goes where in a model, decided before anything is assigned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mae.checkpoints.names import DECODER, HEAD, PATCH_KERNEL, TABLES
from mae.checkpoints.resize import interpolate_table, resize_patch_kernel
from mae.checkpoints.weights import RELEASED_FRAMES, RELEASED_PIXELS, Weights
from mae.errors import ConfigError, some
from mae.models.positions import position_table
from mae.presets import Architecture

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
    interpolated: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fit(
    weights: Weights,
    target: str,
    architecture: Architecture,
    shapes: Mapping[str, tuple],
    allowed: Sequence[str] = (),
    interpolate: bool = False,
) -> Fit:
    """Decides the whole transfer.

    Args:
        target: kind of the model, `pretrainer` or `classifier`.
        shapes: of every variable, by our name.
        allowed: prefixes of variables that may stay as they were initialised.
        interpolate: whether fixed position tables of another grid are interpolated, not computed for the model's.

    Raises:
        UnfitError: a tensor without use, a variable without a value, or a shape that differs.
    """
    _check_heads(weights, architecture)
    made, wanted = Fit(dict(weights.arrays)), dict(shapes)
    _hand_off(made, weights, target, wanted)
    if weights.arrays.get(PATCH_KERNEL, np.zeros(())).ndim in (4, 5):
        _adapt_patches(made, architecture)
        _adapt_positions(made, weights, architecture, wanted, interpolate)
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
    if target == "classifier" and weights.kind != "classifier":
        # The norm at the encoder's end belongs to tokens; the one before a mean-pooling head starts afresh.
        unused = (*DECODER, *(() if "encoder/norm/gamma" in wanted else ("encoder/norm/",)))
        _drop(made, unused)
        made.fresh |= {path for path in wanted if path.startswith((*HEAD, "fc_norm/"))}
    elif target == "classifier":
        have, want = made.arrays.get("head/kernel"), wanted["head/kernel"]
        if have is not None and have.shape[-1] != want[-1]:
            made.notes.append(f"{have.shape[-1]} classes in the file, {want[-1]} in the model: the head starts afresh")
            _drop(made, HEAD)
            made.fresh |= {path for path in wanted if path.startswith(HEAD)}
    elif weights.kind == "classifier":
        _drop(made, (*HEAD, "fc_norm/"))
        if weights.pooling == "mean":
            # Such a classifier ends without the norm that stands before a decoder.
            made.fresh |= {path for path in wanted if path.startswith("encoder/norm/")}


def _drop(made: Fit, prefixes: tuple[str, ...]) -> None:
    for path in [path for path in made.arrays if path.startswith(prefixes)]:
        del made.arrays[path]
        made.dropped.append(path)


def _adapt_patches(made: Fit, architecture: Architecture) -> None:
    """The embedding of patches in the variable's shape (pt·ph·pw·c, d), if the patches are as wide."""
    kernel = made.arrays[PATCH_KERNEL]
    if kernel.shape[-4:-2] == architecture.tubelet[1:]:
        resized = resize_patch_kernel(kernel, architecture.tubelet_size, architecture.in_channels)
        if resized.shape != kernel.shape:
            made.reshaped.append(f"{PATCH_KERNEL} {kernel.shape} → {resized.shape}")
        kernel = resized
    made.arrays[PATCH_KERNEL] = kernel.reshape(-1, kernel.shape[-1])


def _adapt_positions(
    made: Fit, weights: Weights, architecture: Architecture, wanted: dict[str, tuple], interpolate: bool
) -> None:
    """Tables for the model's grid. Fixed ones that nothing has to be done about leave `made` and `wanted`."""
    old, new = file_grid(weights), architecture.grid
    kind = weights.told.get("positions", "sincos")
    learnable = architecture.positions == "learnable"
    for path in [path for path in TABLES if path in wanted]:
        stored = made.arrays.get(path)
        width = wanted[path][-1]
        if stored is not None and kind != "learnable" and _is_fixed(stored, architecture.positions, (old, new), width):
            del made.arrays[path]
            stored = None
        if stored is None and kind != "learnable" and (path == TABLES[0] or weights.kind == "pretrainer"):
            if learnable or (interpolate and old != new):
                stored = made.arrays[path] = position_table(kind, old, width)
                made.notes += [f"{path} starts as the fixed table of the file ({kind})"] if learnable else []
        elif stored is not None and not learnable:
            made.notes.append(f"{path} is the file's own; it is kept, and not trained")
        if stored is None and not learnable:
            del wanted[path]
        elif stored is not None and old != new and len(stored) == np.prod(old):
            made.arrays[path] = interpolate_table(stored, old, new)
            made.interpolated.append(f"{path} {old} → {new}")
    if not learnable and TABLES[0] not in made.arrays and kind != architecture.positions:
        made.notes.append(f"the file was trained with positions={kind}, the model has {architecture.positions}")


def file_grid(weights: Weights) -> tuple[int, int, int]:
    """Tokens along time, height and width the file was trained with; what it does not say is as released."""
    kernel, told = weights.arrays[PATCH_KERNEL], weights.told
    side = told.get("image_size", RELEASED_PIXELS) // kernel.shape[-3]
    return (told.get("num_frames", RELEASED_FRAMES) // kernel.shape[0] if kernel.ndim == 5 else 1), side, side


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


def _check_heads(weights: Weights, architecture: Architecture) -> None:
    """Heads that a file states: a wrong number fits every shape."""
    for name in ("num_heads", "decoder_num_heads"):
        if name == "decoder_num_heads" and weights.kind != "pretrainer":
            continue
        told, have = weights.told.get(name), getattr(architecture, name)
        width = name.replace("num_heads", "embed_dim")
        if told not in (None, have) and weights.told.get(width) == getattr(architecture, width):
            raise UnfitError(f"{weights.source} was made with {name}={told}, the model has {name}={have}")


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
    known = len(weights.arrays)
    parts.append(f"closest layout: {weights.format}, {weights.kind} ({known} of {known + len(weights.unknown)} names)")
    if target == "pretrainer" and weights.kind != "pretrainer":
        parts.append("it holds no decoder: allow_missing=decoder starts with a fresh one")
    return UnfitError("; ".join(parts), missing, theirs, misshapen)


def _with_their_name(weights: Weights, path: str) -> str:
    theirs = weights.their_name(path)
    return path if theirs is None else f"{path} ({theirs})"
