"""Video files, decoded by PyAV: for codecs that OpenCV's wheel lacks, as AV1."""

import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from mae.data.videos.opencv_video import LARGEST_CREDIBLE_COUNT
from mae.data.videos.video import EndOfVideo
from mae.errors import BadVideo

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class PyAVVideo:
    """See `mae.data.videos.video.Video`.

    Raises:
        BadVideo: PyAV is not installed, cannot open the file, or finds no video in it.
    """

    def __init__(self, path: str) -> None:
        try:
            import av
        except ImportError as error:
            raise BadVideo("PyAV, which may decode it, is not installed: pip install av") from error
        self._error = av.FFmpegError
        try:
            self._container = av.open(os.path.abspath(path))  # "a:b.mkv" would be one of FFmpeg's protocols
        except (av.FFmpegError, OSError, ValueError) as error:
            raise BadVideo(f"PyAV cannot open it: {_reason(error)}") from error
        if not self._container.streams.video:
            self._container.close()
            raise BadVideo("it has no video stream")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "NONE"

    @property
    def codec(self) -> str:
        return str(self._stream.codec_context.name)

    @property
    def claimed_count(self) -> int | None:
        return self._stream.frames if 1 <= self._stream.frames <= LARGEST_CREDIBLE_COUNT else None

    @property
    def frames_per_second(self) -> float | None:
        rate = self._stream.average_rate
        return float(rate) if rate else None

    def frames(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        position = 0
        frames = self._decoded()
        for number in wanted.tolist():
            frame = None
            while position <= number:
                frame = next(frames, None)
                if frame is None:
                    raise EndOfVideo(position)
                position += 1
            try:
                pixels = _upright(frame)
            except (self._error, ValueError) as error:
                raise BadVideo(f"frame {number} does not convert to 8-bit colour: {_reason(error)}") from error
            yield pixels

    def close(self) -> None:
        self._container.close()

    def _decoded(self) -> Iterator[Any]:
        """Every frame; what comes after the first that cannot be decoded does not count, as with OpenCV."""
        try:
            yield from self._container.decode(self._stream)
        except self._error:
            return


def _upright(frame: Any) -> np.ndarray:
    pixels = frame.to_ndarray(format="bgr24")
    turn = round(getattr(frame, "rotation", 0)) % 360  # counterclockwise
    return cv2.rotate(pixels, _TURNS[turn]) if turn in _TURNS else pixels


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
