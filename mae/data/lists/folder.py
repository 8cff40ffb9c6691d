"""Videos below a directory: files, packed videos, and directories of frames; directories of it are the classes.

Arrays beside videos are taken for what was made of them; where there is no other video, they are the videos.
"""

import os
from pathlib import Path

from mae.data.lists.endings import OTHER_EXTENSIONS
from mae.data.lists.found import NO_FRAMES, Found, find_below, is_frames
from mae.data.lists.places import existing_directory
from mae.data.lists.video_index import VideoIndex, list_digest
from mae.data.videos.frame_series import how_to_choose
from mae.data.videos.pyav_video import holds_video
from mae.data.videos.shards import SHARD_NAME, is_shard, names_in, without_shard
from mae.errors import BadVideo, ConfigError, some

SAMPLED = 8  # files that speak for all others of their ending, where they agree


def index_folder(
    root: str | Path | None,
    option: str = "dataset.root=",
    frames: str | None = None,
    frames_option: str | None = None,
) -> VideoIndex:
    """All videos below `root`, sorted; hidden files and directories are left out, links are followed.

    The first directory below `root` is the class, where every video lies in one; otherwise there are no labels.
    A directory of frames is a video, not a class. A shard counts as what it would be unpacked in its place.

    Args:
        option: what `root` is called in messages.
        frames: which pictures of a directory are its frames, see `mae.data.lists.found.find_below`.
        frames_option: what `frames` is called in messages; None: the caller has no such option.

    Raises:
        ConfigError: `root` is not given, not a directory, or holds no video; a directory may be two videos; or a shard
            is damaged.
    """
    if root is None:
        raise ConfigError(
            "dataset.root is not set; give the folder that holds the videos: dataset.root=/path/to/videos"
        )
    root = existing_directory(root, option)
    found = find_below(root, frames)
    _refuse_unclear(root, found, frames_option)
    others = [*_with_shards(root, found.videos, option), *found.frames, *_judged(root, found)]
    if others:
        found.leave_out("", found.arrays)
    relative = sorted(others or found.arrays)
    if not relative:
        raise _nothing_found(root, found, option, frames)
    labels, class_names, notes = None, None, found.notes()
    unpacked = [without_shard(path) for path in relative]
    if all("/" in path for path in unpacked):
        names = [path.split("/", 1)[0] for path in unpacked]
        class_names = tuple(sorted(set(names)))
        numbers = {name: number for number, name in enumerate(class_names)}
        labels = tuple(numbers[name] for name in names)
        if empty := sorted(found.folders - numbers.keys()):
            notes = (("folders without video", f"{len(empty)}: {some(empty, 5)}"), *notes)
    paths = tuple(os.path.join(root, path) for path in relative)
    digest = list_digest(relative, labels)
    return VideoIndex(paths, labels, class_names, digest, is_numbered_by_name=bool(labels), notes=notes)


def index_shard(shard: Path, option: str) -> VideoIndex:
    """The videos of one shard, as `index_folder` of what it unpacks to; raises `ConfigError` where it is damaged."""
    names = sorted(_names_in(shard, option))
    classes = [name.partition("/")[0] for name in names if "/" in name]
    class_names = tuple(sorted(set(classes))) if len(classes) == len(names) else None
    labels = None if class_names is None else tuple(class_names.index(name) for name in classes)
    paths = tuple(os.path.join(shard, name) for name in names)
    return VideoIndex(paths, labels, class_names, list_digest(names, labels), is_numbered_by_name=bool(labels))


def _with_shards(root: Path, videos: list[str], option: str) -> list[str]:
    """The videos, with those that a shard holds in its place; it is known by its name before it is opened."""
    told = []
    for path in videos:
        whole = root / path
        is_one = SHARD_NAME.fullmatch(whole.name) is not None and is_shard(str(whole))
        told += [f"{path}/{name}" for name in _names_in(whole, option)] if is_one else [path]
    return told


def _names_in(shard: Path, option: str) -> list[str]:
    try:
        return names_in(str(shard))
    except BadVideo as error:
        raise ConfigError(f"{option}{shard}: {error}; copy it again, or move it away") from error


def _judged(root: Path, found: Found) -> list[str]:
    """The videos among files whose ending says nothing; the others are counted as left out.

    The first few of an ending speak for all of it if they agree, be they videos or not: opening each of a million
    files would take longer than a person waits for the first line of a run.
    """
    videos = []
    for paths in found.unknown.values():
        paths = sorted(paths)
        first = [holds_video(os.path.join(root, path)) for path in paths[:SAMPLED]]
        rest = paths[SAMPLED:]
        if rest and len(set(first)) == 1:
            verdicts = first + first[:1] * len(rest)
        else:
            verdicts = first + [holds_video(os.path.join(root, path)) for path in rest]
        videos += [path for path, verdict in zip(paths, verdicts, strict=True) if verdict]
        found.leave_out("", [path for path, verdict in zip(paths, verdicts, strict=True) if not verdict])
    return videos


def _refuse_unclear(root: Path, found: Found, frames_option: str | None) -> None:
    if not found.unclear:
        return
    prefix, unclear = min(found.unclear.items())
    more = f" ({len(found.unclear)} such folders)" if len(found.unclear) > 1 else ""
    only_videos = "" if frames_option is None else f"; {frames_option}{NO_FRAMES} takes no pictures at all"
    raise ConfigError(
        f"{os.path.join(root, prefix)} holds {unclear.told}{more}; {how_to_choose([unclear.series], frames_option)}"
        f"{only_videos}"
    )


def _nothing_found(root: Path, found: Found, option: str, frames: str | None) -> ConfigError:
    if is_frames(root):
        return ConfigError(f"{option}{root} holds the frames of one video; give the folder above it")
    pictures = "numbered pictures" if frames is None else f"pictures called {frames}"
    left_out = f"; left out: {found.describe_left_out()}" if found.left_out else ""
    return ConfigError(
        f"{option}{root} holds no video; looked in it and below for files that open as one, but for "
        f"{' '.join(OTHER_EXTENSIONS[:6])} and the like, and for directories of {pictures}{left_out}"
    )
