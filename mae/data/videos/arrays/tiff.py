"""TIFF stacks: a page is a frame, or a channel of one; of them only those wanted are read, by `tifffile`."""

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mae.data.videos.arrays.array_video import ArraySource
from mae.data.videos.arrays.frames_in_file import FramesInFile
from mae.data.videos.arrays.needed import library_for
from mae.errors import BadVideo

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two beyond 4 GiB

# Frames in time, depth or pages of no name; then a picture, its channels last or first.
_AXES = re.compile(r"([^YXSC]?)(YX|YXS|SYX|CYX)")


def open_tiff(path: str) -> ArraySource:
    """The stack of a TIFF file.

    Raises:
        BadVideo: damaged, or pages that are not the frames of one video.
        ConfigError: `tifffile` is not installed.
    """
    tifffile = library_for("TIFF stacks", "tifffile")
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file is told in one line
    try:
        return _opened(tifffile.TiffFile(path))
    except BadVideo:
        raise
    except Exception as error:  # a damaged file raises whatever its numbers lead to
        raise BadVideo(f"no TIFF stack: {error or type(error).__name__}") from error


def _opened(file: Any) -> ArraySource:
    try:
        if len(file.series) != 1:
            raise BadVideo(f"{len(file.series)} series of pages of other sizes; expected one, whose pages are frames")
        (series,) = file.series
        shape, channels_first = _video_axes(series.axes, series.shape)
        if channels_first or series.dataoffset is None or not series.keyframe.is_memmappable:
            return _Pages(file, series, shape, channels_first)
        in_file = series.dtype.newbyteorder(file.byteorder)
        path = file.filehandle.path
    except BaseException:
        file.close()
        raise
    file.close()
    return FramesInFile(path, series.dataoffset, shape, in_file)


def _video_axes(axes: str, shape: Sequence[int]) -> tuple[tuple[int, ...], bool]:
    """(T, H, W) or (T, H, W, C) of a stack, and whether channels lie before the rows in the file."""
    kept = [(name, size) for name, size in zip(axes, shape, strict=True) if size > 1 or name in "YX"]
    match = _AXES.fullmatch("".join(name for name, _ in kept))
    if match is None:
        raise BadVideo(
            f"a stack of the axes {axes} {tuple(shape)}; expected frames, then rows and columns (TYX), and channels "
            "before or after these (TCYX, TYXS)"
        )
    sizes = [size for _, size in kept]
    frames, picture = (sizes[0], sizes[1:]) if match[1] else (1, sizes)
    channels_first = len(picture) == 3 and match[2] != "YXS"
    ordered = [*picture[1:], picture[0]] if channels_first else picture
    return (frames, *ordered), channels_first


class _Pages:
    """See `ArraySource`; pages that are compressed, or lie here and there in the file."""

    frames_per_second: float | None = None
    low_is_bright = False

    def __init__(self, file: Any, series: Any, shape: tuple[int, ...], channels_first: bool) -> None:
        self.shape = shape
        self.dtype = series.dtype
        self._file, self._pages = file, series.pages
        self._channels_first = channels_first
        self._per_frame, rest = divmod(len(series.pages), shape[0])
        if rest or not self._per_frame:
            raise BadVideo(f"{len(series.pages)} pages of {shape[0]} frames; expected as many for each frame")

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        for number in numbers:
            first = number * self._per_frame
            try:
                pages = [self._pages[page].asarray() for page in range(first, first + self._per_frame)]
                picture = pages[0] if len(pages) == 1 else np.stack(pages)
                frame = np.moveaxis(picture, 0, -1) if self._channels_first else picture
                yield frame.reshape(self.shape[1:])
            except Exception as error:  # as above
                raise BadVideo(f"page {first} cannot be read: {error or type(error).__name__}") from error

    def close(self) -> None:
        self._file.close()
