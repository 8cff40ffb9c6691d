"""From video frames of any size to what models take, as a layer."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.backend import standardize_dtype

from mae.checkpoints.metadata import Training
from mae.data.transforms.crops import Crop, view_crops
from mae.errors import check_choice
from mae.normalisation import statistics_of
from mae.options import RESIZES
from mae.patches import normalise
from mae.picture_size import PictureSize, height_and_width, picture_size
from mae.presets import Architecture

# OpenCV's arithmetic: weights are counted in 2048ths.
_WEIGHT_BITS = 11
_Taps = tuple[np.ndarray, np.ndarray]  # indices and weights, both (2, S) int32


@keras.saving.register_keras_serializable("mae")
class VideoPreprocessor(keras.layers.Layer):
    """Resizes, cuts out what lies in the middle, and normalises; goes before a model or into an export.

    Pixels are those that the commands evaluate and predict with, to the last bit: OpenCV resizes for them (bilinear,
    without smoothing) in whole numbers, and this layer computes with the same whole numbers. No value differs (OpenCV
    5.0, x86-64; `pytest tests/checkpoints/test_preprocessor.py` compares them).

    Args:
        image_size: pixels of the result, or height and width; of a model `model.architecture.image_size`.
        normalise: False: give the pixels themselves, uint8, which models of this package take as well.
        mean: of each channel in [0, 1]; None: ImageNet's for three channels, else 0.5. Of a model
            `model.architecture.statistics.mean`.
        std: the standard deviation that goes with `mean`; None: likewise.
        resize: of videos of another aspect: `crop`; `letterbox`, all of the picture between black bars; or `stretch`.
            Of a model `model.card.clip.resize`.

    Input: (b, t, h, w, c) uint8; h and w must be known when the layer is called, b and t need not be.
    Output: (b, t, height, width, c) float32, normalised, or uint8.

    Raises:
        ConfigError: no size, or no such `resize`.
        ValueError: input of another type, without five axes, or of unknown height or width.

    Example:
        >>> import mae, numpy as np
        >>> videos = np.full((1, 4, 30, 40, 3), 255, "uint8")
        >>> ready = mae.VideoPreprocessor(image_size=24)(videos)
        >>> tuple(ready.shape), round(float(ready[0, 0, 0, 0, 0]), 3)
        ((1, 4, 24, 24, 3), 2.249)
    """

    def __init__(
        self,
        image_size: PictureSize = 224,
        normalise: bool = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        resize: str = "crop",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_size = picture_size("image_size", image_size)
        check_choice("resize", resize, RESIZES)
        self.normalise = normalise
        self.resize = resize
        self.mean, self.std = mean, std

    def call(self, videos: Any) -> Any:
        shape = tuple(videos.shape)
        is_known = all(isinstance(length, int) for length in shape[2:4])  # JAX has symbols for those that are not
        if len(shape) != 5 or not is_known or standardize_dtype(videos.dtype) != "uint8":
            raise ValueError(
                f"videos are {standardize_dtype(videos.dtype)} of the shape {shape}; expected uint8 (b, t, h, w, c), "
                "height and width known"
            )
        height, width, channels = shape[2:]
        (crop,) = view_crops(height, width, height_and_width(self.image_size), 1, self.resize)
        across, along = (
            slice(max(start, 0), max(start, 0) + length) for start, length in zip(crop.window, crop.size, strict=True)
        )
        rows = _taps(height, crop.resized[0], across, clamps=False)
        columns = _taps(width, crop.resized[1], along, clamps=True)
        pixels = _between_bars(_resize(videos, rows, columns), crop)
        return normalise(pixels, statistics_of(channels, self.mean, self.std)) if self.normalise else pixels

    def get_config(self) -> dict[str, Any]:
        names = ("image_size", "normalise", "mean", "std", "resize")
        told = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **told}


def preprocessor_for(architecture: Architecture, training: Training) -> VideoPreprocessor:
    """What an export has before its model, which normalises by itself: videos become clips as in training."""
    return VideoPreprocessor(architecture.image_size, normalise=False, resize=training.resize or "crop")


def _taps(length: int, resized: int, window: slice, clamps: bool) -> _Taps:
    """The two source pixels of each resized one inside the window, and what they weigh, in 2048ths.

    Args:
        clamps: whether a pixel beyond the edge weighs nothing, as OpenCV has it along rows of a picture; along columns
            the one at the edge stands in for it.
    """
    centres = ((np.arange(resized) + 0.5) * (length / resized) - 0.5).astype(np.float32)
    first = np.floor(centres).astype(np.int32)
    share = centres - first.astype(np.float32)
    if clamps:
        share[(first < 0) | (first >= length - 1)] = 0
        first = first.clip(0, length - 1)
    weights = np.rint(np.stack([1 - share, share]) * np.float32(1 << _WEIGHT_BITS)).astype(np.int32)
    indices = np.stack([first, first + 1]).clip(0, length - 1)
    return indices[:, window], weights[:, window]


def _between_bars(pixels: Any, crop: Crop) -> Any:
    """(b, t, h, w, c) → (b, t, *crop.size, c): black where the picture does not reach."""
    before = [max(-start, 0) for start in crop.window]
    bars = [
        (first, wants - has - first)
        for first, wants, has in zip(before, crop.size, (pixels.shape[2], pixels.shape[3]), strict=True)
    ]
    return ops.pad(pixels, ((0, 0), (0, 0), *bars, (0, 0))) if any(map(sum, bars)) else pixels


def _resize(videos: Any, rows: _Taps, columns: _Taps) -> Any:
    """(b, t, h, w, c) uint8 → (b, t, H, W, c) uint8, by the fixed-point arithmetic of `cv2.resize`, INTER_LINEAR."""
    row_sums = []
    for indices, weights in zip(*rows, strict=True):
        taken = ops.take(videos, indices, axis=2)
        sums = sum(
            ops.cast(ops.take(taken, at, axis=3), "int32") * weight[:, None]
            for at, weight in zip(*columns, strict=True)
        )
        # Cut to fit 32 bits: 8 bits of a pixel, 11 of either weight.
        row_sums.append((sums // (1 << 4)) * weights[:, None, None] // (1 << 16))
    return ops.cast((row_sums[0] + row_sums[1] + 2) // 4, "uint8")
