"""What a user named: a list, a folder or a video."""

import os
from dataclasses import dataclass
from pathlib import Path

from mae.data.lists.index import VIDEO_EXTENSIONS, VideoIndex, index_csv, index_folder, single_video
from mae.data.lists.places import absolute
from mae.errors import ConfigError

LISTS = (".csv", ".txt", ".tsv", ".list")


@dataclass(frozen=True)
class GivenVideos:
    """Paths to read, and the names to show and to name files by: relative where the videos have a folder in common."""

    paths: tuple[str, ...]
    names: tuple[str, ...]


def given_videos(given: str) -> GivenVideos:
    """The videos that `video=` names: a folder, a list (by its extension), or else one video.

    Raises:
        ConfigError: a folder without videos, or a malformed list.
    """
    path = Path(os.path.expanduser(given))
    index: VideoIndex
    if path.is_dir():
        index, base = index_folder(path), path.absolute()
    elif path.suffix.lower() in LISTS:
        index, base = index_csv(path, None), path.absolute().parent
    else:
        index, base = single_video(path), path.absolute().parent
    prefix = os.path.join(base, "")
    return GivenVideos(index.paths, tuple(video.removeprefix(prefix) for video in index.paths))


def index_of(source: Path, root: str | None) -> tuple[VideoIndex, Path]:
    """The videos, and the directory that their names in the output are relative to.

    Raises:
        ConfigError: there is no such input, or it lists nothing.
    """
    if not source.exists():
        raise ConfigError(f"there is no {source}; expected a list, a folder with videos, or one video")
    if source.is_dir():
        index, base = index_folder(source), source
    elif source.suffix.lower() in VIDEO_EXTENSIONS:
        index, base = single_video(source), source.parent
    else:
        return index_csv(source, root), source.parent if root is None else absolute(root)
    if root is not None:
        raise ConfigError(f"root={root} is for lists; {source} is none")
    return index, base
