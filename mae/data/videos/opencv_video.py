"""Video files, decoded by the FFmpeg in OpenCV's wheel: the other decoder, for comparison.

It fails where `mae.data.videos.pyav_video` does not: interlaced files come back black, reflections and colour spaces do
not count, AV1 is missing, and frame counts are guesses. Decoding always begins with the first frame.
"""

import os
from collections.abc import Iterator

import cv2
import numpy as np

from mae.data.videos.decoding import RGB, Decoding
from mae.data.videos.pyav_video import refuse_cover
from mae.data.videos.video import LARGEST_CREDIBLE_COUNT, EndOfVideo
from mae.errors import BadVideo
from mae.files import utf8_name


class OpenCVVideo:
    """See `mae.data.videos.video.Video`; a frame is valid until the next one is asked for.

    Raises:
        BadVideo: OpenCV cannot open the file, or it is a sound with a cover, of which OpenCV makes a video.
    """

    name = "OpenCV"

    def __init__(self, path: str, decoding: Decoding = RGB) -> None:
        decoding.refuse_colours()
        refuse_cover(path)
        self._is_grey = decoding.is_grey
        self._capture = _open_capture(path)

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
        position = 0  # the frame that is grabbed next
        for number in wanted.tolist():
            while position <= number:
                if not self._capture.grab():
                    raise EndOfVideo(position)
                position += 1
            decoded, buffer = self._capture.retrieve(buffer)
            if not decoded or buffer.dtype != np.uint8 or buffer.ndim != 3 or buffer.shape[2] != 3:
                raise BadVideo(f"frame {number} does not convert to 8-bit colour")
            if self._is_grey:
                yield cv2.cvtColor(buffer, cv2.COLOR_BGR2GRAY)[..., None]
            else:
                yield cv2.cvtColor(buffer, cv2.COLOR_BGR2RGB, dst=buffer)

    def close(self) -> None:
        self._capture.release()


def _open_capture(path: str) -> cv2.VideoCapture:
    """A capture that decodes in this thread and turns frames upright; raises `BadVideo`, as `OpenCVVideo`."""
    # Absolute, as FFmpeg takes "a:b.mkv" for one of its protocols; OpenCV crashes at what is no UTF-8.
    capture = cv2.VideoCapture(utf8_name(os.path.abspath(path)), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        capture.release()
        raise BadVideo("not a video that OpenCV can open")
    # Its default changed between OpenCV releases; as an argument of the constructor it is refused.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture
