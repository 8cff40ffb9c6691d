"""A video whose frames are those of an array, whatever file holds it.

An array is (T, H, W), which is one channel, or (T, H, W, C): how many axes it has tells which. What stands first may be
time or depth.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from mae.data.videos.decoding import Decoding
from mae.data.videos.video import LARGEST_CREDIBLE_COUNT, EndOfVideo
from mae.errors import BadVideo

LARGEST_SIDE = 1 << 16  # pixels; larger ones are those of a damaged header


class ArraySource(Protocol):
    """An opened file with an array in it. `close` releases whatever it holds."""

    shape: tuple[int, ...]  # (T, H, W) or (T, H, W, C)
    dtype: np.dtype[Any]  # of what `read` gives
    frames_per_second: float | None
    low_is_bright: bool  # whether a picture is to be shown as its negative

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """The frames of the given numbers, ascending and below T: (H, W) or (H, W, C); of the file only these are read.

        Raises:
            BadVideo: a frame cannot be read.
        """

    def close(self) -> None: ...


class ArrayVideo:
    """See `mae.data.videos.video.Video`.

    Raises:
        BadVideo: an array of another shape or type than a video's, or of other channels than `decoding` wants.
    """

    def __init__(self, source: ArraySource, decoding: Decoding) -> None:
        self._source = source
        self._decoding = decoding
        try:
            self._count, *_, self._channels = _video_shape(source.shape)
            decoding.check_array(self._channels, source.dtype)
        except BaseException:
            source.close()
            raise

    @property
    def claimed_count(self) -> int | None:
        return self._count

    @property
    def frames_per_second(self) -> float | None:
        return self._source.frames_per_second

    @property
    def codec(self) -> str:
        """The type of its numbers and its channels, as `uint16 × 1`."""
        return f"{self._source.dtype} × {self._channels}"

    def frames(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        inside = wanted[wanted < self._count].tolist()
        for frame in self._source.read(inside):
            pixels = self._decoding.pixels(frame if frame.ndim == 3 else frame[..., None])
            yield 255 - pixels if self._source.low_is_bright else pixels
        if len(inside) < len(wanted):
            raise EndOfVideo(self._count)

    def close(self) -> None:
        self._source.close()


def _video_shape(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(T, H, W, C) of an array."""
    if len(shape) not in (3, 4):
        raise BadVideo(f"an array of the shape {shape}; expected (T, H, W), or (T, H, W, C) of C channels")
    frames, height, width, channels = (*shape, 1) if len(shape) == 3 else shape
    if not frames or not height or not width or not channels:
        raise BadVideo(f"an array of the shape {shape}, which is empty; expected at least one frame")
    if frames > LARGEST_CREDIBLE_COUNT or max(height, width) > LARGEST_SIDE:
        raise BadVideo(f"an array of the shape {shape}, which is not a video's: (T, H, W) or (T, H, W, C)")
    return frames, height, width, channels
