"""Whether arrays are what a function takes, told with what came and what it expects before anything is computed.

Shapes and dtypes are checked where a function is traced, so a compiled step checks nothing again. A size that is not
known then (None) is not checked; neither are values.
"""

from typing import Any

import numpy as np
from keras import ops
from keras.backend import standardize_dtype

from mae.presets import Architecture

Triple = tuple[int, int, int]


def check_shape(what: str, array: Any, **expected: int | None) -> None:
    """Raises `ValueError` unless `array` has the axes `expected`, named in order, of these sizes; None: of any."""
    shape = tuple(array.shape)
    pairs = zip(shape, expected.values(), strict=False)
    if len(shape) != len(expected) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
        axes = ", ".join(axis if size is None else f"{axis} {size}" for axis, size in expected.items())
        raise ValueError(f"{what} must have the shape ({axes}), got {shape}")


def check_pixels(what: str, array: Any) -> None:
    """Raises `ValueError` unless `array` holds floats or uint8: what other integers mean is not known."""
    dtype = standardize_dtype(array.dtype)
    if dtype != "uint8" and "float" not in dtype:
        raise ValueError(f"{what} must be floats or uint8 (0…255), got {dtype}: convert them to one of these")


def check_floats(what: str, array: Any) -> None:
    """Raises `ValueError` unless `array` holds floats."""
    dtype = standardize_dtype(array.dtype)
    if "float" not in dtype:
        raise ValueError(f"{what} must be floats, got {dtype}")


def check_videos(videos: Any, architecture: Architecture) -> None:
    """Raises `ValueError` unless `videos` are (b, T, H, W, c) of the sizes of a model, in floats or uint8."""
    a = architecture
    height, width = a.picture_size
    check_shape("videos", videos, batch=None, frames=a.num_frames, height=height, width=width, channels=a.in_channels)
    check_pixels("videos", videos)


def check_mask(what: str, is_masked: Any, grid: Triple | None = None, batch: int | None = None) -> None:
    """Raises `ValueError` unless `is_masked` is (b, n) bool, n being the tokens of `grid` (None: any)."""
    tokens = None if grid is None else int(np.prod(grid))
    dtype = standardize_dtype(is_masked.dtype)
    if dtype != "bool":
        raise ValueError(f"{what} must be bool, True where a token is masked, got {dtype}")
    try:
        check_shape(what, is_masked, batch=batch, tokens=tokens)
    except ValueError as error:
        if grid is None:
            raise
        raise ValueError(f"{error}; the model's grid of tokens is {grid[0]}×{grid[1]}×{grid[2]}") from None


def check_indices(what: str, indices: Any, batch: int | None = None, count: int | None = None) -> None:
    """Raises `ValueError` unless `indices` are (b, count) integers."""
    check_shape(what, indices, batch=batch, tokens=count)
    dtype = standardize_dtype(indices.dtype)
    if "int" not in dtype:
        raise ValueError(f"{what} must be integers, indices into the token grid, got {dtype}")


def check_divisible(what: str, size: int | None, by: int, parts: str) -> None:
    """Raises `ValueError` unless `size` is known not to leave a rest."""
    if size is not None and size % by:
        raise ValueError(f"{what} {size} cannot be divided into {parts} of {by}")


def known_values(array: Any) -> np.ndarray | None:
    """The values of an array, None where they are not known before a traced function runs."""
    try:
        return np.asarray(ops.convert_to_numpy(array))
    except (NotImplementedError, AttributeError, TypeError):  # a symbolic tensor of TensorFlow, a tracer of JAX
        return None
