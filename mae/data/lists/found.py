"""What lies below a directory: videos, directories of frames, what may be videos, and what is none.

Every directory is listed once, and no file is asked about one by one: sets of extracted frames have millions of them.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mae.data.lists.endings import ending, is_array_name, is_other_name, is_video_name
from mae.data.videos.frame_series import describe, is_picture, matching, missing_numbers, series_of
from mae.errors import ConfigError

NO_FRAMES = "none"  # data.frames= where pictures are no frames of videos

_LITTER = ("thumbs.db", "desktop.ini")  # what file managers leave beside pictures
_KINDS_SHOWN = 5  # of what is left out


class Unclear(NamedTuple):
    """What a directory may be."""

    told: str
    series: str  # one that a person may choose, by name


@dataclass
class Found:
    """What is below a directory; paths are relative to it, with forward slashes."""

    videos: list[str] = field(default_factory=list)  # files and packed videos, by their endings
    frames: list[str] = field(default_factory=list)  # directories that are one video each; a pattern as its last part
    arrays: list[str] = field(default_factory=list)  # by their endings: videos where there are no others
    unknown: dict[str, list[str]] = field(default_factory=dict)  # files by an ending that says nothing
    unclear: dict[str, Unclear] = field(default_factory=dict)  # directories that may be several videos, with a slash
    incomplete: dict[str, int] = field(default_factory=dict)  # directories of frames: numbers that are missing
    left_out: Counter[str] = field(default_factory=Counter)  # files by their endings
    examples: dict[str, str] = field(default_factory=dict)  # the first of each ending
    folders: set[str] = field(default_factory=set)  # of the root that something is left out in

    def leave_out(self, prefix: str, names: list[str]) -> None:
        """Counts files that are no videos."""
        for name in sorted(names):
            self.left_out[ending(name)] += 1
            self.examples.setdefault(ending(name), prefix + name)
            folder, slash, _ = (prefix + name).partition("/")
            if slash:
                self.folders.add(folder)

    def notes(self) -> tuple[tuple[str, str], ...]:
        """Name and value of what a person should know besides the videos."""
        notes = []
        if self.left_out:
            notes.append(("left out", self.describe_left_out()))
        if self.incomplete:
            total, first = sum(self.incomplete.values()), min(self.incomplete)
            told = f"{total} numbers missing in {len(self.incomplete)} of {len(self.frames)} folders, as {first}"
            notes.append(("gaps in frames", told))
        return tuple(notes)

    def describe_left_out(self) -> str:
        """As `12 files: 8 .txt (as walk/notes.txt), 4 .jpg (as walk/poster.jpg)`."""
        often = self.left_out.most_common()
        told = [
            f"{count} {kind or 'without an ending'} (as {self.examples[kind]})" for kind, count in often[:_KINDS_SHOWN]
        ]
        rest = sum(count for _, count in often[_KINDS_SHOWN:])
        told += [f"{rest} others"] if rest else []
        total = self.left_out.total()
        return f"{total} file{'' if total == 1 else 's'}: {', '.join(told)}"


def find_below(root: Path, frames: str | None = None) -> Found:
    """Everything below a directory but hidden files and directories; links are followed.

    A directory is one video if it holds a series of pictures and neither videos nor directories; texts beside them do
    not count.

    Args:
        frames: which pictures are frames, as `img_*`; None: any, as long as they are one series; "none": no picture is.

    Raises:
        ConfigError: a directory cannot be listed.
    """
    found = Found()
    real_root = os.path.realpath(root)
    entered = {real_root}
    waiting = [(str(root), "", real_root)]
    while waiting:
        path, prefix, real = waiting.pop()
        content = _content(path)
        _sort(found, prefix, content, frames)
        below = []
        for name, is_link in sorted(content.directories):
            place = os.path.join(path, name)
            real_place = os.path.realpath(place) if is_link else os.path.join(real, name)
            # A link to a directory above would never end.
            if real_place not in entered:
                entered.add(real_place)
                below.append((place, f"{prefix}{name}/", real_place))
        waiting += reversed(below)
    return found


def is_frames(directory: str | Path) -> bool:
    """Whether a directory is one video, be it unclear which; raises `ConfigError` if it cannot be listed."""
    found = Found()
    _sort(found, "./", _content(directory), None)
    return bool(found.frames or found.unclear)


@dataclass
class _Content:
    """What a directory holds, hidden names aside."""

    videos: list[str] = field(default_factory=list)
    directories: list[tuple[str, bool]] = field(default_factory=list)  # name, and whether it is a link
    pictures: list[str] = field(default_factory=list)
    arrays: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # by their endings
    others: list[str] = field(default_factory=list)


def _sort(found: Found, prefix: str, content: _Content, frames: str | None) -> None:
    """Adds what one directory holds to what was found; `prefix` is its path with a slash, "" for the root."""
    chosen = _chosen(content, frames)
    if chosen:
        series = series_of(chosen)
        first = next(iter(series))
        if content.videos and frames is None:
            told = f"the video {content.videos[0]} and {describe({first: series[first]})}"
            found.unclear[prefix] = Unclear(told, first)
        elif len(series) > 1 and frames is None:
            found.unclear[prefix] = Unclear(f"several series of pictures, {describe(series)}", first)
        elif prefix:
            found.frames.append(prefix[:-1] if frames is None else prefix + frames)
            if missing := missing_numbers(chosen):
                found.incomplete[prefix[:-1]] = missing
        taken = set(chosen) if prefix else set()
        found.leave_out(prefix, [name for name in content.pictures if name not in taken])
        found.leave_out(prefix, [*content.videos, *content.arrays, *content.unknown, *content.others])
        return
    found.videos += [prefix + name for name in content.videos]
    found.arrays += [prefix + name for name in content.arrays]
    for name in content.unknown:
        found.unknown.setdefault(ending(name), []).append(prefix + name)
    found.leave_out(prefix, [*content.pictures, *content.others])


def _chosen(content: _Content, frames: str | None) -> list[str]:
    """The pictures for which a directory is a video; none where it is no directory of frames."""
    if frames == NO_FRAMES or not content.pictures:
        return []
    if frames is not None:
        return matching(content.pictures, frames)
    if content.directories:
        return []
    if content.videos:
        # One picture, or a few, may be made of each video.
        stems = {os.path.splitext(name)[0] for name in content.videos}
        beside = [name for name in content.pictures if os.path.splitext(name)[0] not in stems]
        return beside if _longest_series(beside) > len(content.videos) else []
    longest = _longest_series(content.pictures)
    is_alone = len(content.pictures) == 1 and not (content.arrays or content.unknown or content.others)
    return content.pictures if longest > 1 or (longest == 1 and is_alone) else []


def _longest_series(names: list[str]) -> int:
    """Pictures in the longest series that counts them by numbers."""
    return max((len(members) for name, members in series_of(names).items() if "*" in name), default=0)


def _content(directory: str | Path) -> _Content:
    content = _Content()
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name == "lost+found":  # the latter belongs to the file system
                    continue
                if _is_directory(entry):
                    content.directories.append((name, entry.is_symlink()))
                elif is_array_name(name):
                    content.arrays.append(name)
                elif is_video_name(name):
                    content.videos.append(name)
                elif is_picture(name):
                    content.pictures.append(name)
                elif is_other_name(name):
                    content.others.append(name)
                elif name.lower() not in _LITTER:
                    content.unknown.append(name)
    except OSError as error:
        raise ConfigError(f"{directory} cannot be listed ({error.strerror})") from error
    content.videos.sort()
    return content


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()  # asks the disk for links only
    except OSError:  # a link that leads round in a circle
        return False
