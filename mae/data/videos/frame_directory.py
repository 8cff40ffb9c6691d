"""Videos that are a directory of images, one per frame."""

import os
from collections.abc import Iterator

import cv2
import numpy as np

from mae.data.videos.decoding import RGB, Decoding
from mae.data.videos.frame_series import (
    describe,
    how_to_choose,
    in_order,
    is_picture,
    matching,
    series_of,
    split_pattern,
)
from mae.data.videos.video import EndOfVideo
from mae.errors import BadVideo


class FrameDirectory:
    """See `mae.data.videos.video.Video`; frames are in natural order, 2.jpg before 10.jpg. There is no clock.

    Args:
        path: of the directory; behind it may stand which of its pictures are meant, as `clip7/img_*.jpg`.

    Raises:
        BadVideo: there is no image in it, there are several series of them, or it cannot be listed.
    """

    def __init__(self, path: str, decoding: Decoding = RGB) -> None:
        decoding.refuse_colours()
        self._decoding = decoding
        self._path, pattern = split_pattern(path)
        try:
            self.names = in_order(frame_names(self._path, pattern))
        except OSError as error:
            raise BadVideo(f"the directory cannot be read: {error.strerror}") from error
        if not self.names:
            raise BadVideo("a directory without images" if pattern is None else f"no image in it is called {pattern}")
        series = series_of(self.names)
        if pattern is None and len(series) > 1:
            raise BadVideo(f"several series of pictures, {describe(series)}; {how_to_choose(series, None)}")

    @property
    def claimed_count(self) -> int | None:
        return len(self.names)

    @property
    def frames_per_second(self) -> float | None:
        return None

    def frames(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        for number in wanted.tolist():
            if number >= len(self.names):
                raise EndOfVideo(len(self.names))
            name = self.names[number]
            try:
                content = np.fromfile(os.path.join(self._path, name), np.uint8)
            except OSError as error:
                raise BadVideo(f"image {name} cannot be read: {error.strerror}") from error
            frame = decoded_picture(content, self._decoding)
            if frame is None:
                raise BadVideo(f"image {name} does not decode")
            yield frame

    def close(self) -> None:
        pass


def decoded_picture(content: np.ndarray, decoding: Decoding) -> np.ndarray | None:
    """The pixels of a picture file, (H, W, 3) uint8 RGB, or (H, W, 1); None where its content is of none."""
    mode = cv2.IMREAD_GRAYSCALE if decoding.is_grey else cv2.IMREAD_COLOR_RGB
    frame = cv2.imdecode(content, mode) if content.size else None
    return frame[..., None] if frame is not None and decoding.is_grey else frame


def is_frame_directory(path: str) -> bool:
    """Whether a path is a directory, or names pictures of one."""
    return os.path.isdir(split_pattern(path)[0])


def frame_names(directory: str, pattern: str | None) -> list[str]:
    """The pictures in a directory that a pattern stands for, hidden ones aside; raises `OSError`."""
    names = [name for name in os.listdir(directory) if not name.startswith(".") and is_picture(name)]
    return names if pattern is None else matching(names, pattern)


def series_in(directory: str) -> dict[str, list[str]]:
    """The pictures in a directory by their series; none where it cannot be listed."""
    try:
        return series_of(frame_names(directory, None))
    except OSError:
        return {}
