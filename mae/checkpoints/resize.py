"""Weights of one clip size for another: position tables, the embedding of patches and what predicts them."""

import math
from collections.abc import Sequence

import numpy as np
from einops import rearrange

from mae.normalisation import Statistics

Grid = tuple[int, int, int]
Patch = tuple[int, int, int]  # frames, rows and columns


def interpolate_table(table: np.ndarray, old: Grid, new: Grid) -> np.ndarray:
    """A position table (t·h·w, d) for another token grid, trilinear over time, height and width.

    Tokens are boxes of equal share of the clip and a table's rows their centres; outside the outermost centres the
    outermost row stays (the convention of `torch.nn.functional.interpolate` without aligned corners).
    """
    values = table.reshape(*old, -1)
    for axis, (have, want) in enumerate(zip(old, new, strict=True)):
        index = np.clip((np.arange(want) + 0.5) * have / want - 0.5, 0, have - 1)
        lower = np.floor(index).astype(int)
        upper = np.minimum(lower + 1, have - 1)
        share = (index - lower).astype(table.dtype).reshape([-1 if i == axis else 1 for i in range(4)])
        values = values.take(lower, axis) * (1 - share) + values.take(upper, axis) * share
    return values.reshape(-1, table.shape[-1])


def resize_patch_kernel(kernel: np.ndarray, patch: Patch) -> np.ndarray:
    """The embedding of patches for patches of another size, along time, height and width.

    A new patch is embedded as the old kernel would embed it resampled to the old size, each old pixel the mean of what
    it covers of the new ones. So the kernel's values are spread over the time and area that they cover: its sum, and
    with it the response to a patch of one colour, stays; and where the new size is a multiple of the old one, a
    patch that rises evenly is embedded alike, too.

    Args:
        kernel: (pt, ph, pw, c, d), or (ph, pw, c, d) of an image model, which is one of a single frame.
        patch: the new size.

    Returns:
        (*patch, c, d).
    """
    if kernel.ndim == 4:
        kernel = kernel[None]
    for axis, (have, want) in enumerate(zip(kernel.shape[:3], patch, strict=True)):
        if have != want:
            spread = np.tensordot(_shares(have, want).astype(kernel.dtype), kernel, axes=(0, axis))
            kernel = np.moveaxis(spread, 0, axis)
    return kernel


def resize_prediction(head: np.ndarray, old: Patch, new: Patch) -> np.ndarray:
    """What predicts patches, for patches of another size: its predictions, interpolated as a position table is.

    Args:
        head: (…, pt·ph·pw·c), a kernel or a bias, of patches of the size `old`.

    Returns:
        (…, pt·ph·pw·c), of patches of the size `new`.
    """
    channels = head.shape[-1] // math.prod(old)
    pixels = rearrange(head.reshape(-1, head.shape[-1]), "d (p c) -> p (d c)", c=channels)
    resized = rearrange(interpolate_table(pixels, old, new), "p (d c) -> d (p c)", c=channels)
    return resized.reshape(*head.shape[:-1], -1)


def adapt_patch_channels(
    kernel: np.ndarray, bias: np.ndarray, old: Statistics, new: Statistics
) -> tuple[np.ndarray, np.ndarray]:
    """The embedding of patches for pixels of other channels, or normalised by other statistics.

    What is embedded is the same: of pixels that agree in all channels where there are fewer of these than before, so
    that each filter is the sum of the old ones over the new count; of the old channels where others follow, whose
    filters are the mean of the old ones and say nothing of a channel at its mean.

    Args:
        kernel: (…, c, d), of pixels normalised by `old`.
        bias: (d,).

    Returns:
        (…, c', d) and (d,), of pixels normalised by `new`.
    """
    have, want, kernel_type = len(old.mean), len(new.mean), kernel.dtype
    kernel = kernel.astype(np.float64)
    if want < have:
        # Filters of pixels in [0, 1], which a grey clip has in common whatever its channels are normalised by.
        filters = kernel / np.array(old.std)[:, None]
        shared = np.repeat(filters.sum(axis=-2, keepdims=True) / want, want, axis=-2)
        bias = bias - _added_up(filters, old.mean) + _added_up(shared, new.mean)
        adapted = shared * np.array(new.std)[:, None]
    else:
        std, mean = np.array(new.std[:have]), np.array(new.mean[:have])
        bias = bias + _added_up(kernel / np.array(old.std)[:, None], mean - old.mean)
        others = np.repeat(kernel.mean(axis=-2, keepdims=True), want - have, axis=-2)
        adapted = np.concatenate([kernel * (std / old.std)[:, None], others], axis=-2)
    return adapted.astype(kernel_type), bias.astype(kernel_type)


def _added_up(filters: np.ndarray, values: Sequence[float] | np.ndarray) -> np.ndarray:
    """What filters (…, c, d) make of a patch whose channels have these values everywhere: (d,)."""
    made: np.ndarray = np.asarray(values) @ filters.reshape(-1, *filters.shape[-2:]).sum(axis=0)
    return made


def adapt_predicted_channels(head: np.ndarray, have: int, want: int) -> np.ndarray:
    """What predicts patches, for patches of other channels: fewer are the mean of the old ones, others follow as it.

    Args:
        head: (…, p·c), a kernel or a bias.

    Returns:
        (…, p·c').
    """
    channels = head.reshape(*head.shape[:-1], -1, have)
    mean = channels.mean(axis=-1, keepdims=True)
    kept = channels if want > have else channels[..., :0]
    adapted = np.concatenate([kept, np.repeat(mean, want - kept.shape[-1], axis=-1)], axis=-1)
    return adapted.reshape(*head.shape[:-1], -1)


def _shares(have: int, want: int) -> np.ndarray:
    """(have, want): how much of each old pixel, or frame, falls into each new one; every row sums to 1."""
    old, new = np.linspace(0, 1, have + 1), np.linspace(0, 1, want + 1)
    overlap = np.minimum(old[1:, None], new[None, 1:]) - np.maximum(old[:-1, None], new[None, :-1])
    return np.clip(overlap, 0, None) * have
