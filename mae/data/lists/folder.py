"""Videos below a directory: files, packed videos, and directories of frames.

A directory that holds image files and nothing else is one video. Every directory is listed once, and no file is
asked about one by one: sets of extracted frames have millions of them.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from mae.data.lists.places import existing_directory
from mae.data.lists.video_index import VideoIndex, list_digest
from mae.errors import ConfigError

PACKED_EXTENSION = ".zip"  # one video, a picture per frame
VIDEO_EXTENSIONS = (
    *(".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg"),
    *(".m4v", ".ts", ".mts", ".3gp", ".wmv", ".flv", ".ogv"),
    PACKED_EXTENSION,
)
IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

_LITTER = ("thumbs.db", "desktop.ini")  # what file managers leave beside pictures
_VIDEOS, _IMAGES = frozenset(VIDEO_EXTENSIONS), frozenset(IMAGE_EXTENSIONS)


def index_folder(root: str | Path | None, option: str = "dataset.root=") -> VideoIndex:
    """All videos below `root`, sorted; hidden files and directories are left out, links are followed.

    The first directory below `root` is the class, where every video lies in one; otherwise there are no labels.
    A directory of frames is a video, not a class. `option` is what `root` is called in messages.

    Raises:
        ConfigError: `root` is not given, not a directory, or holds no video.
    """
    if root is None:
        raise ConfigError(
            "dataset.root is not set; give the folder that holds the videos: dataset.root=/path/to/videos"
        )
    root = existing_directory(root, option)
    relative = videos_below(root)
    if not relative:
        if is_frames(root):
            raise ConfigError(f"{option}{root} holds the frames of one video; give the folder above it")
        kinds = " ".join(VIDEO_EXTENSIONS)
        raise ConfigError(
            f"{option}{root} holds no video; looked for {kinds} and for directories that hold only images "
            f"({' '.join(IMAGE_EXTENSIONS)}) in it and below"
        )
    labels, class_names = None, None
    if all("/" in path for path in relative):
        names = [path.split("/", 1)[0] for path in relative]
        class_names = tuple(sorted(set(names)))
        numbers = {name: number for number, name in enumerate(class_names)}
        labels = tuple(numbers[name] for name in names)
    paths = tuple(os.path.join(root, path) for path in relative)
    return VideoIndex(paths, labels, class_names, list_digest(relative, labels))


def is_frames(directory: str | Path) -> bool:
    """Whether a directory is one video: image files and nothing else. Raises `ConfigError` if it cannot be listed."""
    return _content(directory).is_frames


def videos_below(root: Path) -> list[str]:
    """Paths of all videos relative to `root`, with forward slashes, sorted.

    Raises:
        ConfigError: a directory cannot be listed.
    """
    found = []
    real_root = os.path.realpath(root)
    entered = {real_root}
    waiting = [(str(root), "", real_root)]
    while waiting:
        path, prefix, real = waiting.pop()
        content = _content(path)
        if prefix and content.is_frames:
            found.append(prefix[:-1])
            continue
        found += [prefix + name for name in content.videos]
        below = []
        for name, is_link in sorted(content.directories):
            place = os.path.join(path, name)
            real_place = os.path.realpath(place) if is_link else os.path.join(real, name)
            # A link to a directory above would never end.
            if real_place not in entered:
                entered.add(real_place)
                below.append((place, f"{prefix}{name}/", real_place))
        waiting += reversed(below)
    return sorted(found)


def without_extension(name: str) -> str:
    """The name of a video file without its extension; that of a directory of frames as it is."""
    stem, extension = os.path.splitext(name)
    return stem if extension.lower() in _VIDEOS else name


@dataclass
class _Content:
    """What a directory holds, hidden names aside."""

    videos: list[str] = field(default_factory=list)
    directories: list[tuple[str, bool]] = field(default_factory=list)  # name, and whether it is a link
    images: int = 0
    others: int = 0

    @property
    def is_frames(self) -> bool:
        """Whether it is one video: image files and nothing else."""
        return self.images > 0 and not (self.videos or self.directories or self.others)


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
                    continue
                extension = os.path.splitext(name)[1].lower()
                if extension in _VIDEOS:
                    content.videos.append(name)
                elif extension in _IMAGES:
                    content.images += 1
                elif name.lower() not in _LITTER:
                    content.others += 1
    except OSError as error:
        raise ConfigError(f"{directory} cannot be listed ({error.strerror})") from error
    return content


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()  # asks the disk for links only
    except OSError:  # a link that leads round in a circle
        return False
