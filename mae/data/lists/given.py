"""What a user named where a command takes videos: a list, a folder with videos, or one video."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mae.data.lists.endings import ending
from mae.data.lists.folder import index_folder, index_shard
from mae.data.lists.found import NO_FRAMES, is_frames
from mae.data.lists.index import choose_frames, single_video
from mae.data.lists.listed_files import has_pattern
from mae.data.lists.places import absolute, existing_base
from mae.data.lists.tables import PARQUET
from mae.data.lists.text_list import NOTHING, Wanted, index_csv
from mae.data.lists.video_index import VideoIndex
from mae.data.remote.address import is_remote, parent_address, without_scheme
from mae.data.videos.shards import is_shard, split_shard
from mae.errors import ConfigError

LIST_EXTENSIONS = (".csv", ".txt", ".tsv", ".lst", ".list", PARQUET)

Kind = Literal["list", "folder", "video"]


@dataclass(frozen=True)
class GivenVideos:
    """The videos that a user named."""

    kind: Kind
    path: Path  # absolute: what was named; of an address what stands behind its scheme
    base: Path  # absolute: the folder that `names` are relative to
    index: VideoIndex

    @property
    def names(self) -> tuple[str, ...]:
        """What to show for each video and to name files by: relative to `base`, or absolute where it lies elsewhere.

        Of an address it is what stands behind its scheme, `bucket/walk/a.mp4`.
        """
        prefix = os.path.join(self.base, "")
        names = (path.removeprefix(prefix) for path in self.index.paths)
        return tuple(without_scheme(name) if is_remote(name) else name for name in names)


def given_videos(
    option: str,
    value: str | Path,
    root: str | None = None,
    frames: str | None = None,
    frames_option: str | None = "frames=",
    wanted: Wanted = NOTHING,
) -> GivenVideos:
    """The videos of a list, of a folder, or the one video at a path; a list or a video at an address.

    A directory is a folder with videos, unless it holds a series of pictures: those are the frames of one video. Of
    several series `clip7/img_*.jpg` is one. A shard is a folder with the videos it holds. Any other file is a list if
    its name ends as one of `LIST_EXTENSIONS`, in any case, and else a video; whether it can be read is found out when
    it is.

    Args:
        option: how the argument is called in messages, as `video=`.
        value: the argument.
        root: what the relative paths of a list are relative to; None: the list's own folder.
        frames: which pictures of a directory are its frames, see `mae.data.lists.found.find_below`.
        frames_option: how that is called in messages; None: the caller has no such option.
        wanted: what is learnt from the labels of a list.

    Raises:
        ConfigError: nothing is there, a folder without videos, a malformed list, a root for what is no list, or
            several series of pictures of which none is chosen.
    """
    if is_remote(value):
        return _at_address(option, str(value), root, frames, frames_option, wanted)
    path = absolute(value)
    kind = _kind(option, value, path, frames)
    if root is not None and kind != "list":
        raise ConfigError(f"root={root} is for lists; {option}{value} is a {kind}")
    if kind == "list":
        base = path.parent if root is None else existing_base(root, "root=")
        index = choose_frames(index_csv(path, base, wanted=wanted), frames, option=frames_option)
        return GivenVideos(kind, path, base if isinstance(base, Path) else _as_path(base), index)
    if kind == "folder" and not path.is_dir():
        return GivenVideos(kind, path, path, index_shard(path, option))
    if kind == "folder":
        return GivenVideos(kind, path, path, index_folder(path, option, frames, frames_option))
    if frames is not None and not path.is_dir():
        raise ConfigError(f"{frames_option}{frames} is for directories of pictures; {option}{value} is none")
    return GivenVideos(kind, path, path.parent, choose_frames(single_video(path), frames, option=frames_option))


def _at_address(
    option: str, value: str, root: str | None, frames: str | None, frames_option: str | None, wanted: Wanted
) -> GivenVideos:
    """A list by its ending, or else a video."""
    path = _as_path(value)
    if ending(value) in LIST_EXTENSIONS:
        base = parent_address(value) if root is None else existing_base(root, "root=")
        index = choose_frames(index_csv(value, base, wanted=wanted), frames, option=frames_option)
        return GivenVideos("list", path, path.parent, index)
    if root is not None or frames is not None:
        given = f"root={root} is for lists" if root is not None else f"{frames_option}{frames} is for directories"
        raise ConfigError(f"{given}; {option}{value} is a video at an address")
    return GivenVideos("video", path, path.parent, single_video(value))


def _as_path(address: str) -> Path:
    return Path("/") / without_scheme(address)


def given_video(option: str, value: str | Path, frames: str | None = None) -> VideoIndex:
    """As `given_videos` for a command that takes one video; raises `ConfigError` for a list or a folder as well."""
    given = given_videos(option, value, frames=frames)
    if given.kind != "video":
        raise ConfigError(f"{option}{value} is a {given.kind}; give one video")
    return given.index


def _kind(option: str, value: str | Path, path: Path, frames: str | None) -> Kind:
    # Not Path's own methods: they raise where a folder above may not be entered.
    if os.path.isdir(path):
        return "video" if frames != NO_FRAMES and is_frames(path) else "folder"
    if has_pattern(str(path)) and os.path.isdir(path.parent):
        return "video"
    if split_shard(str(path)) is not None:
        return "video"
    if is_shard(str(path)):
        return "folder"
    if not os.path.exists(path):
        raise ConfigError(
            f"{option}{value} does not exist; give a list ({' '.join(LIST_EXTENSIONS)}), a folder with videos, or one "
            "video"
        )
    return "list" if path.suffix.lower() in LIST_EXTENSIONS else "video"
