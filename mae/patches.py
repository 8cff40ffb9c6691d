"""Videos as patches, and what the decoder is asked to predict of them.

A patch (tubelet) is `pt` frames of `ph`×`pw` pixels. Tokens are ordered row-major (t, h, w), the values inside a
patch row-major (frame, row, column, channel), everywhere in this package and in the released models.
"""

from typing import Any

import numpy as np
from einops import rearrange
from keras import ops
from keras.backend import standardize_dtype

from mae.checks import check_divisible, check_floats, check_indices, check_pixels, check_shape
from mae.errors import check_choice
from mae.normalisation import Statistics, usual_statistics
from mae.options import PATCH_TARGETS


def patchify(videos: Any, tubelet: tuple[int, int, int]) -> Any:
    """(b, t·pt, h·ph, w·pw, c) → (b, t·h·w, pt·ph·pw·c)."""
    _check_whole_patches(videos, tubelet)
    pt, ph, pw = tubelet
    return rearrange(
        videos, "b (t pt) (h ph) (w pw) c -> b (t h w) (pt ph pw c)", pt=pt, ph=ph, pw=pw
    )  # fmt: skip


def unpatchify(patches: Any, grid: tuple[int, int, int], tubelet: tuple[int, int, int]) -> Any:
    """(b, t·h·w, pt·ph·pw·c) → (b, t·pt, h·ph, w·pw, c): the inverse of `patchify`."""
    (t, h, w), (pt, ph, pw) = grid, tubelet
    check_shape("patches", patches, batch=None, tokens=t * h * w, values=None)
    check_divisible("patches: the number of values", patches.shape[-1], pt * ph * pw, "channels")
    return rearrange(
        patches,
        "b (t h w) (pt ph pw c) -> b (t pt) (h ph) (w pw) c",
        t=t, h=h, w=w, pt=pt, ph=ph, pw=pw,
    )  # fmt: skip


def gather_patches(videos: Any, indices: Any, tubelet: tuple[int, int, int]) -> Any:
    """Some patches of each clip: (b, T, H, W, c) and indices (b, k) in its token grid → (b, k, pt·ph·pw·c).

    What `patchify` and then a gather give, in one pass over only the pixels that are asked for.
    """
    _check_whole_patches(videos, tubelet)
    check_indices("indices", indices, batch=videos.shape[0])
    pt, ph, pw = tubelet
    b, frames, height, width, c = ops.shape(videos)
    h, w = height // ph, width // pw
    # A row of a patch, pw pixels of one frame, lies together in memory: those rows are gathered.
    t_h_w = ops.stack([indices // (h * w), indices // w % h, indices % w], axis=-1)[:, :, None, :]
    frame, row = np.divmod(np.arange(pt * ph, dtype="int32"), ph)
    clip = ops.reshape(ops.arange(b, dtype="int32"), (-1, 1, 1))
    rows = ((clip * frames + t_h_w[..., 0] * pt + frame) * height + t_h_w[..., 1] * ph + row) * w + t_h_w[..., 2]
    pixels = ops.take(ops.reshape(videos, (-1, pw * c)), rows, axis=0)
    return rearrange(pixels, "b k rows p -> b k (rows p)")


def _check_whole_patches(videos: Any, tubelet: tuple[int, int, int]) -> None:
    check_shape("videos", videos, batch=None, frames=None, height=None, width=None, channels=None)
    for axis, size, by in zip(("frames", "height", "width"), videos.shape[1:4], tubelet, strict=True):
        check_divisible(f"videos: {axis}", size, by, "patches")


def in_unit_range(pixels: Any) -> Any:
    """Pixels in [0, 1], float32: floats are there already, uint8 (0…255) are divided by 255."""
    check_pixels("pixels", pixels)
    floats = ops.cast(pixels, "float32")
    return floats / 255 if standardize_dtype(pixels.dtype) == "uint8" else floats


def normalise(pixels: Any, statistics: Statistics | int) -> Any:
    """Pixels in [0, 1], or uint8, channel last (…, c), → what models take as `videos`; uint8 become float32.

    Args:
        statistics: of the channels, as a model's `architecture.statistics`; or how many there are, for the usual ones.
    """
    check_pixels("pixels", pixels)
    mean, std = _of_channels("pixels", pixels, statistics)
    if standardize_dtype(pixels.dtype) == "uint8":
        pixels = in_unit_range(pixels)
    return (pixels - ops.convert_to_tensor(mean, pixels.dtype)) / ops.convert_to_tensor(std, pixels.dtype)


def normalise_patches(patches: Any, statistics: Statistics | int) -> Any:
    """`normalise` for patches (b, k, pt·ph·pw·c) of such pixels."""
    check_shape("patches", patches, batch=None, tokens=None, values=None)
    channels = statistics if isinstance(statistics, int) else len(statistics.mean)
    check_divisible("patches: the number of values", patches.shape[-1], channels, "pixels")
    pixels = rearrange(patches, "b k (p c) -> b k p c", c=channels)
    return rearrange(normalise(pixels, statistics), "b k p c -> b k (p c)")


def normalised(videos: Any, statistics: Statistics | int) -> Any:
    """Videos as models compute with them: floats as they are, uint8 (0…255) through `normalise`."""
    return normalise(videos, statistics) if standardize_dtype(videos.dtype) == "uint8" else videos


def unnormalise(videos: Any, statistics: Statistics | int) -> Any:
    """The inverse of `normalise`, of floats."""
    check_floats("normalised videos", videos)
    mean, std = _of_channels("normalised videos", videos, statistics)
    return videos * ops.convert_to_tensor(std, videos.dtype) + ops.convert_to_tensor(mean, videos.dtype)


def normalised_target(pixels: Any, target: str, in_channels: int, tubelet_size: int) -> Any:
    """What the decoder predicts of each patch, where that is a matter of the patch alone; for others: `mae.targets`.

    - `videomae`: per channel over the whole tubelet, (x - mean) / (√var + 1e-6), variance unbiased
      (VideoMAE, arXiv:2203.12602, and its release).
    - `mae_st`: per frame over all channels of the patch, (x - mean) / √(var + 1e-6), variance unbiased
      (arXiv:2205.09113 and its release).
    - `pixels`: the pixels themselves.

    Args:
        pixels: (b, m, pt·ph·pw·c) patches of un-normalised pixels in [0, 1], or uint8.

    Returns:
        The same shape, float32.
    """
    check_choice("target", target, PATCH_TARGETS)
    pixels = in_unit_range(pixels)
    if target == "pixels":
        return pixels
    values = group_values(pixels, target, in_channels, tubelet_size)
    mean, std = patch_statistics(values)
    return ungroup_values((values - mean) / target_scale(std, target), target)


def unnormalised_prediction(prediction: Any, target: str, mean: Any, std: Any, tubelet_size: int) -> Any:
    """Pixels from what the decoder predicts, given statistics of each patch: the inverse of `normalised_target`.

    Args:
        prediction: (b, m, pt·ph·pw·c).
        mean, std: (b, m, 1, groups) as `patch_statistics` gives them for the values of `group_values`.

    Returns:
        The shape of `prediction`; for `pixels` the prediction itself.
    """
    if target == "pixels":
        return prediction
    values = group_values(prediction, target, mean.shape[-1], tubelet_size)
    return ungroup_values(values * target_scale(std, target) + mean, target)


def group_values(patches: Any, target: str, in_channels: int, tubelet_size: int) -> Any:
    """Splits patches (b, m, pt·ph·pw·c) into the groups that `target` normalises: (b, m, p, groups)."""
    check_shape("patches", patches, batch=None, tokens=None, values=None)
    groups, parts = (tubelet_size, "frames") if target == "mae_st" else (in_channels, "pixels")
    check_divisible("patches: the number of values", patches.shape[-1], groups, parts)
    if target == "mae_st":
        return rearrange(patches, "b m (pt p) -> b m p pt", pt=tubelet_size)
    return rearrange(patches, "b m (p c) -> b m p c", c=in_channels)


def ungroup_values(values: Any, target: str) -> Any:
    """The inverse of `group_values`."""
    return rearrange(values, "b m p pt -> b m (pt p)" if target == "mae_st" else "b m p c -> b m (p c)")


def patch_statistics(values: Any) -> tuple[Any, Any]:
    """Mean and unbiased standard deviation over the last axis but one: (…, p, groups) → two of (…, 1, groups)."""
    p = values.shape[-2]
    mean = ops.mean(values, axis=-2, keepdims=True)
    variance = ops.sum(ops.square(values - mean), axis=-2, keepdims=True) / (p - 1)
    return mean, ops.sqrt(variance)


def target_scale(std: Any, target: str) -> Any:
    """What a patch's values are divided by."""
    return ops.sqrt(ops.square(std) + 1e-6) if target == "mae_st" else std + 1e-6


def _of_channels(what: str, array: Any, statistics: Statistics | int) -> Statistics:
    """The statistics of an array's channels, the last axis; raises `ValueError` where it has other ones."""
    told = usual_statistics(statistics) if isinstance(statistics, int) else statistics
    if array.shape[-1] not in (len(told.mean), None):
        raise ValueError(
            f"{what} must have {len(told.mean)} channels, the last axis, got the shape {tuple(array.shape)}"
        )
    return told
