"""Weights of one clip size for another: position tables and the embedding of patches."""

import numpy as np

Grid = tuple[int, int, int]


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


def resize_patch_kernel(kernel: np.ndarray, tubelet_size: int, in_channels: int) -> np.ndarray:
    """The embedding of patches for another tubelet size and another number of channels.

    Time: an image model's kernel (ph, pw, c, d) is one of a single frame. Each frame's share of the kernel is spread
    over the time it covers, so the sum over frames, and with it the response to a clip that does not change, stays.

    Channels: one channel takes the sum over all (a grey clip is one whose channels agree); more or other channels
    take the old ones in turn, scaled by old / new count.

    Args:
        kernel: (pt, ph, pw, c, d) or (ph, pw, c, d).

    Returns:
        (tubelet_size, ph, pw, in_channels, d).
    """
    if kernel.ndim == 4:
        kernel = kernel[None]
    have = kernel.shape[0]
    if have != tubelet_size:
        kernel = np.einsum("ij,i...->j...", _shares(have, tubelet_size).astype(kernel.dtype), kernel)
    channels = kernel.shape[3]
    if channels != in_channels:
        if in_channels == 1:
            return kernel.sum(axis=3, keepdims=True)
        kernel = kernel[:, :, :, np.arange(in_channels) % channels] * kernel.dtype.type(channels / in_channels)
    return kernel


def _shares(have: int, want: int) -> np.ndarray:
    """(have, want): how much of each old frame's time falls into each new frame; every row sums to 1."""
    old, new = np.linspace(0, 1, have + 1), np.linspace(0, 1, want + 1)
    overlap = np.minimum(old[1:, None], new[None, 1:]) - np.maximum(old[:-1, None], new[None, :-1])
    return np.clip(overlap, 0, None) * have
