"""Which videos of lists are the same: named twice, or different files of the same content."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mae.data.lists.video_index import Segment, VideoIndex
from mae.data.videos.frame_directory import FrameDirectory
from mae.data.videos.frame_series import split_pattern
from mae.data.videos.shards import content_sha256, split_shard, stretch_of
from mae.errors import BadVideo


@dataclass(frozen=True)
class Leak:
    """A video of the list that another list has, too."""

    path: str
    other_list: str  # its name
    other_path: str  # the same, or of a file with the same content

    def __str__(self) -> str:
        what = "it" if self.path == self.other_path else f"the same content as {self.other_path}"
        return f"{self.path}: {self.other_list} has {what}"


@dataclass(frozen=True)
class Duplicates:
    """What is the same in a list, and between it and others."""

    repeated: tuple[str, ...]  # paths listed more than once with the same part and stride, as often as that
    same_content: tuple[tuple[str, ...], ...]  # groups of different paths of the list
    leaks: tuple[Leak, ...]


def find_duplicates(index: VideoIndex, others: Mapping[str, VideoIndex]) -> Duplicates:
    """Compares the videos of a list with each other and with those of other lists.

    Two files are the same where their bytes are, whatever they are called; only files of the same size are read. Of
    directories of frames that is asked of all their pictures, one after the other. What cannot be read is like nothing.

    Args:
        index: the list.
        others: by name; a video of one of them in `index` is a leak, unless both have parts of it that do not overlap.
    """
    content = _same_content([*index.paths, *(path for other in others.values() for path in other.paths)])
    group_of = {path: group for group in content for path in group}
    own = dict.fromkeys(index.paths)
    inside = [tuple(path for path in group if path in own) for group in content]
    leaks = [leak for name, other in others.items() for leak in _leaks(index, name, other, group_of)]
    return Duplicates(_repeated(index), tuple(group for group in inside if len(group) > 1), tuple(leaks))


def _repeated(index: VideoIndex) -> tuple[str, ...]:
    seen, found = set(), []
    for entry in index.entries():
        if entry in seen:
            found.append(entry[0])
        seen.add(entry)
    return tuple(found)


def _leaks(index: VideoIndex, name: str, other: VideoIndex, group_of: Mapping[str, Sequence[str]]) -> list[Leak]:
    theirs: dict[str, list[Segment | None]] = defaultdict(list)
    for path, segment, _ in other.entries():
        theirs[path].append(segment)
    found: dict[str, Leak] = {}
    for path, segment, _ in index.entries():
        for candidate in (path, *group_of.get(path, ())):
            if path not in found and any(_overlap(segment, part) for part in theirs.get(candidate, ())):
                found[path] = Leak(path, name, candidate)
    return list(found.values())


def _overlap(first: Segment | None, second: Segment | None) -> bool:
    """Whether two parts of a video, of which None is the whole, have a time in common."""
    return first is None or second is None or (first[0] < second[1] and second[0] < first[1])


def _same_content(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of paths whose content is the same, each of two or more, in the order given."""
    by_size: dict[tuple[int, ...], dict[str, Sequence[str]]] = defaultdict(dict)
    for path in dict.fromkeys(paths):
        with suppress(OSError, ValueError, BadVideo):
            files = _files(path)
            by_size[tuple(stretch_of(file).size for file in files)][path] = files
    groups: dict[str, list[str]] = defaultdict(list)
    for alike in by_size.values():
        if len(alike) > 1:
            for path, files in alike.items():
                with suppress(OSError, BadVideo):
                    groups[content_sha256(*files)].append(path)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _files(path: str) -> Sequence[str]:
    """Those that a video consists of; raises where they cannot be listed."""
    if split_shard(path) is not None:
        return [path]
    folder, _ = split_pattern(path)
    if stat.S_ISDIR(os.stat(folder).st_mode):
        return [os.path.join(folder, name) for name in FrameDirectory(path).names]
    return [path]
