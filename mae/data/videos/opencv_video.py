"""Video files, decoded by OpenCV's FFmpeg.

Files are decoded from their first frame on. OpenCV's seeks hit other frames on variable-rate files, MPEG-TS, live-muxed
webm and packed B-frames, so only files in which `mae.data.scan` found seeks exact are sought in, and every seek is
checked by the time of the frame it leads to.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from mae.data.videos.video import EndOfVideo
from mae.errors import BadVideo

LARGEST_CREDIBLE_COUNT = 10**7  # frames; live-muxed files claim ±10**17
SEEK_BEFORE = 16  # frames: OpenCV looks for a key frame at least so far before the one it is asked for
SEEK_GAIN = 16  # frames that a seek must spare: what one costs, measured on h264
TIME_TOLERANCE = 0.25  # frames


class OpenCVVideo:
    """See `mae.data.videos.video.Video`; a frame is valid until the next one is asked for.

    Args:
        key_frames: where decoding can start, ascending, if seeking is known to be exact in this file.

    Raises:
        BadVideo: OpenCV cannot open the file.
    """

    def __init__(self, path: str, key_frames: Sequence[int] = ()) -> None:
        self._path = path
        self._key_frames = key_frames
        self._capture = open_capture(path)

    @property
    def claimed_count(self) -> int | None:
        claimed = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(claimed) if 1 <= claimed <= LARGEST_CREDIBLE_COUNT else None

    @property
    def frames_per_second(self) -> float | None:
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        return rate if 0 < rate < 1e5 else None

    def frames(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        buffer: np.ndarray | None = None
        position, has_sought = 0, False  # the frame that is grabbed next
        for number in wanted.tolist():
            if self._key_frames and self._spares(position, number) >= SEEK_GAIN:
                position, has_sought = self._seek(number)
            while position <= number:
                if self._capture.grab():
                    position += 1
                elif has_sought:  # the end, or the seek went wrong: only walking can tell
                    position, has_sought = self._walk_from_the_start()
                else:
                    raise EndOfVideo(position)
            decoded, buffer = self._capture.retrieve(buffer)
            if not decoded or buffer.dtype != np.uint8 or buffer.ndim != 3 or buffer.shape[2] != 3:
                raise BadVideo(f"frame {number} does not convert to 8-bit colour")
            yield buffer

    def close(self) -> None:
        self._capture.release()

    def _spares(self, position: int, number: int) -> int:
        """Frames that need not be decoded if the wanted one is sought."""
        index = bisect_right(self._key_frames, number - SEEK_BEFORE)
        return self._key_frames[index - 1] - position if index else 0

    def _seek(self, number: int) -> tuple[int, bool]:
        """Grabs a frame that is far ahead; gives the frame that comes next, and whether the seek led there."""
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        if self._capture.grab() and is_on_time(self._capture, number):
            return number + 1, True
        return self._walk_from_the_start()

    def _walk_from_the_start(self) -> tuple[int, bool]:
        """Opens the file anew, to seek no more; gives the frame that comes next, and that no seek led there."""
        self._key_frames = ()
        self._capture.release()
        self._capture = open_capture(self._path)
        return 0, False


def is_on_time(capture: cv2.VideoCapture, number: int) -> bool:
    """Whether the frame just grabbed is shown when the frame of that number is, at a constant rate."""
    frames = capture.get(cv2.CAP_PROP_POS_MSEC) * capture.get(cv2.CAP_PROP_FPS) / 1000
    return abs(frames - number) < TIME_TOLERANCE


def open_capture(path: str) -> cv2.VideoCapture:
    """A capture that decodes in this thread and turns frames upright; raises `BadVideo`, as `OpenCVVideo`."""
    # Absolute, as FFmpeg takes "a:b.mkv" for one of its protocols.
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        capture.release()
        raise BadVideo("not a video that OpenCV can open")
    # Its default changed between OpenCV releases; as an argument of the constructor it is refused.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture
