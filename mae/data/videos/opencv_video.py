"""Video files, decoded by OpenCV's FFmpeg.

Files are decoded from their first frame on. OpenCV's seeks hit other frames on variable-rate files, MPEG-TS, live-muxed
webm and packed B-frames, so only files for which `mae.data.scan` found every seek exact are sought in.
"""

import os
from collections.abc import Iterator

import cv2
import numpy as np

from mae.data.videos.video import EndOfVideo
from mae.errors import BadVideo

LARGEST_CREDIBLE_COUNT = 10**7  # frames; live-muxed files claim ±10**17
SEEK_FROM = 24  # frames: a seek decodes from the key frame before, which is not known; nearer ones are walked to
SEEK_WITHIN = 128  # frames, between two wanted ones


class OpenCVVideo:
    """See `mae.data.videos.video.Video`; a frame is valid until the next one is asked for.

    Args:
        seeks: whether seeking is known to be exact in this file.

    Raises:
        BadVideo: OpenCV cannot open the file.
    """

    def __init__(self, path: str, seeks: bool = False) -> None:
        self._path = path
        self._seeks = seeks
        self._capture = _open(path)

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
            if self._seeks and number - position >= (SEEK_WITHIN if position else SEEK_FROM):
                self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)
                position, has_sought = int(self._capture.get(cv2.CAP_PROP_POS_FRAMES)), True
                if position != number:
                    position, has_sought = self._walk_from_the_start(), False
            while position <= number:
                if self._capture.grab():
                    position += 1
                elif has_sought:  # the end, or a seek that failed: only walking can tell
                    position, has_sought = self._walk_from_the_start(), False
                else:
                    raise EndOfVideo(position)
            decoded, buffer = self._capture.retrieve(buffer)
            if not decoded or buffer.dtype != np.uint8 or buffer.ndim != 3 or buffer.shape[2] != 3:
                raise BadVideo(f"frame {number} does not convert to 8-bit colour")
            yield buffer

    def close(self) -> None:
        self._capture.release()

    def _walk_from_the_start(self) -> int:
        """Opens the file anew, to seek no more; gives the number of the frame that comes next."""
        self._capture.release()
        self._capture = _open(self._path)
        self._seeks = False
        return 0


def _open(path: str) -> cv2.VideoCapture:
    # Absolute, as FFmpeg takes "a:b.mkv" for one of its protocols.
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        capture.release()
        raise BadVideo("not a video that OpenCV can open")
    # Its default changed between OpenCV releases; as an argument of the constructor it is refused.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture
