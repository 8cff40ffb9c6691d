"""Frames that lie one after the other in a file, as numbers and nothing else, of which only those wanted are read."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mae.errors import BadVideo


class FramesInFile:
    """See `mae.data.videos.arrays.array_video.ArraySource`; frames are in C order.

    They are asked of the file by their places and not mapped into memory: a file that is cut while it is read is an
    error then, and not the end of the process.

    Args:
        offset: bytes before the first frame.
        dtype: of the numbers in the file, its order of bytes among it.

    Raises:
        BadVideo: the file is shorter than the array.
    """

    low_is_bright = False

    def __init__(
        self,
        path: str,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        frames_per_second: float | None = None,
    ) -> None:
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self.frames_per_second = frames_per_second
        self._offset, self._in_file = offset, dtype
        self._frame_bytes = int(np.prod(shape[1:], dtype=object)) * dtype.itemsize
        self._file = os.open(path, os.O_RDONLY)
        held, told = os.fstat(self._file).st_size - offset, shape[0] * self._frame_bytes if shape else 0
        if held < told:
            self.close()
            raise BadVideo(f"truncated: {max(held, 0)} bytes of an array of {shape} {dtype}, expected {told}")

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        for number in numbers:
            content = os.pread(self._file, self._frame_bytes, self._offset + number * self._frame_bytes)
            if len(content) < self._frame_bytes:
                raise BadVideo(f"frame {number}: {len(content)} bytes, expected {self._frame_bytes}")
            yield np.frombuffer(content, self._in_file).reshape(self.shape[1:])

    def close(self) -> None:
        os.close(self._file)
