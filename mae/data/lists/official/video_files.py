"""Which file of a copy of a data set is which video of its annotations.

Copies differ in their directories and containers, so files are known by a key made from their path: an original, one
converted to another container, a packed one and a directory of frames all have the same.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path, PurePosixPath

from mae.data.lists.endings import without_extension
from mae.data.lists.found import find_below
from mae.data.lists.official.annotations import AnnotatedVideo
from mae.data.lists.places import existing_directory
from mae.errors import ConfigError


def file_name(path: str) -> Hashable:
    """The key of data sets whose file names are unique: the name without its extension."""
    return without_extension(PurePosixPath(path).name)


def class_and_name(path: str) -> Hashable:
    """The key of data sets whose file names are unique within a class: its directory and the name."""
    place = PurePosixPath(path)
    return place.parent.name, without_extension(place.name)


class VideoFiles:
    """The videos below a directory by their keys.

    Raises:
        ConfigError: no directory, or it cannot be listed.
    """

    def __init__(self, root: str | Path, key_of: Callable[[str], Hashable]) -> None:
        self.root = existing_directory(root, "videos=")
        self._by_key: dict[Hashable, list[str]] = defaultdict(list)
        self.count = 0
        found = find_below(self.root)
        for path in sorted([*found.videos, *found.frames, *(prefix.rstrip("/") for prefix in found.unclear)]):
            self._by_key[key_of(path)].append(path)
            self.count += 1

    def find(self, videos: Iterable[AnnotatedVideo]) -> list[str | None]:
        """Path of each video relative to the root; None for those that are not there.

        Raises:
            ConfigError: two files of one video.
        """
        found: list[str | None] = []
        several = []
        for video in videos:
            paths = next((self._by_key[key] for key in video.keys if key in self._by_key), [])
            found.append(paths[0] if paths else None)
            if len(paths) > 1:
                several.append(paths)
        if several:
            raise ConfigError(
                f"{len(several)} videos have several files below videos={self.root}, the first: "
                f"{' and '.join(several[0])}; keep one of each, or name a folder that holds one of each"
            )
        return found
