"""Whether the files of a list are there.

Directories are listed once each: asking for a quarter of a million files one by one takes minutes on network storage.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from mae.data.lists.endings import is_video_name
from mae.data.remote.address import is_remote
from mae.data.remote.copies import exists_at
from mae.data.videos.frame_series import ANY
from mae.data.videos.shards import split_shard, stretch_of
from mae.errors import BadVideo

_ASKED_AT_ONCE = 16


class ListedFiles:
    """What directories hold, as far as anybody has asked.

    Args:
        lists_directories: whether they are listed; not, where few of their files are asked for.
    """

    def __init__(self, lists_directories: bool = True) -> None:
        self._lists_directories = lists_directories
        self._at_addresses: dict[str, bool] = {}
        # Names in a directory, and whether each is a directory; None for links, which would have to be followed.
        self._listings: dict[str, dict[str, bool | None]] = {}

    def exists(self, path: str) -> bool:
        """Whether there is a file, a directory, a video in a shard, or the directory of a path that is a pattern."""
        if is_remote(path):
            return self._at_addresses[path] if path in self._at_addresses else exists_at(path)
        if split_shard(path) is not None:
            return missing_in_shard(path) is None
        if has_pattern(path) and self.is_directory(os.path.dirname(path)):
            return True
        # File systems that ignore case or normalise Unicode list another spelling.
        return os.path.basename(path) in self._listing(path) or os.path.exists(path)

    def ask_addresses(self, paths: Iterable[str]) -> None:
        """Asks for those of these paths that are addresses, many at once; raises `ConfigError` where none can be."""
        remote = [path for path in dict.fromkeys(paths) if is_remote(path)]
        with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="addresses") as pool:
            self._at_addresses |= dict(zip(remote, pool.map(exists_at, remote), strict=True))

    def is_directory(self, path: str) -> bool:
        """Whether a path is a directory, or names pictures of one; no address is."""
        if is_remote(path) or split_shard(path) is not None:
            return False
        if has_pattern(path):
            return self.is_directory(os.path.dirname(path))
        known = self._listing(path).get(os.path.basename(path))
        return os.path.isdir(path) if known is None else known

    def _listing(self, path: str) -> dict[str, bool | None]:
        """Of the directory that a path lies in."""
        if not self._lists_directories:
            return {}
        directory = os.path.dirname(path)
        if directory not in self._listings:
            self._listings[directory] = _names_in(directory)
        return self._listings[directory]


def missing_in_shard(path: str) -> str | None:
    """Why a shard does not have the video at a path; None where it has."""
    try:
        stretch_of(path)
    except BadVideo as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return None


def has_pattern(path: str) -> bool:
    """Whether a path ends in a pattern of pictures, see `mae.data.videos.frame_series`."""
    name = os.path.basename(path)
    return ANY in name and not is_video_name(name)


def _names_in(directory: str) -> dict[str, bool | None]:
    try:
        with os.scandir(directory) as entries:
            return {e.name: None if e.is_symlink() else e.is_dir(follow_symlinks=False) for e in entries}
    except (OSError, ValueError):  # the latter for a NUL in the name
        return {}
