"""Videos that are a directory of images, one per frame."""

import os
import re
from collections.abc import Iterator

import cv2
import numpy as np

from mae.data.lists.folder import IMAGE_EXTENSIONS
from mae.data.videos.video import EndOfVideo
from mae.errors import BadVideo


class FrameDirectory:
    """See `mae.data.videos.video.Video`; frames are in natural order, 2.jpg before 10.jpg. There is no clock.

    Raises:
        BadVideo: there is no image in it, or it cannot be listed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            names = [name for name in os.listdir(path) if not name.startswith(".")]
        except OSError as error:
            raise BadVideo(f"the directory cannot be read: {error.strerror}") from error
        images = [name for name in names if os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS]
        if not images:
            raise BadVideo("a directory without images")
        self._names = sorted(images, key=_natural)

    @property
    def claimed_count(self) -> int | None:
        return len(self._names)

    @property
    def frames_per_second(self) -> float | None:
        return None

    def frames(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        for number in wanted.tolist():
            if number >= len(self._names):
                raise EndOfVideo(len(self._names))
            name = self._names[number]
            try:
                content = np.fromfile(os.path.join(self._path, name), np.uint8)
            except OSError as error:
                raise BadVideo(f"image {name} cannot be read: {error.strerror}") from error
            frame = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB) if content.size else None
            if frame is None:
                raise BadVideo(f"image {name} does not decode")
            yield frame

    def close(self) -> None:
        pass


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers in a name count as numbers; names that differ in leading zeros only keep an order."""
    parts = enumerate(re.split(r"([0-9]+)", name))  # every other one is a number
    return [(int(part), part) if index % 2 else (-1, part) for index, part in parts]
