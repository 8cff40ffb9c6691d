"""The list of videos of a data set: from `dataset=` to absolute paths, labels and segments."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mae.data.config import CsvDataset, DatasetConfig, RenderedDataset
from mae.data.lists.folder import index_folder
from mae.data.lists.places import absolute, find_file
from mae.data.lists.text_list import index_csv
from mae.data.lists.video_index import VideoIndex, list_digest
from mae.errors import ConfigError

Listings = dict[str, dict[str, bool | None]]  # of directories: see `_listing`

__all__ = [
    "VideoIndex",
    "build_index",
    "check_files",
    "index_csv",
    "index_folder",
    "single_video",
]


def build_index(
    dataset: DatasetConfig, max_bad_frac: float, progress: Callable[[int, int], None] | None = None
) -> VideoIndex:
    """The training videos of `dataset=`; those of a rendered set are made where they are missing.

    `progress(done, total)` is called after every rendered video.

    Raises:
        ConfigError: nothing to read, a malformed list, or more than `max_bad_frac` of the listed files missing.
    """
    if isinstance(dataset, RenderedDataset):
        return index_rendered(dataset, progress)
    if not isinstance(dataset, CsvDataset):
        return index_folder(dataset.root)
    if dataset.train is None:
        raise ConfigError("dataset.train is not set; give the list of videos: dataset.train=list.csv")
    return checked_list(dataset, "dataset.train", dataset.train, max_bad_frac)


def index_rendered(
    dataset: RenderedDataset, progress: Callable[[int, int], None] | None = None, held_out: bool = False
) -> VideoIndex:
    """The videos of a rendered data set, or those it holds out; see `mae.data.rendered.render.ensure_rendered`."""
    from mae.data.rendered.render import ensure_rendered

    return index_folder(ensure_rendered(dataset, progress, held_out))


def single_video(path: str | Path) -> VideoIndex:
    """One file as a data set without labels; whether it can be read is found out when it is."""
    path = absolute(path)
    return VideoIndex((str(path),), None, None, list_digest([path.name], None))


def check_files(index: VideoIndex, max_bad_frac: float) -> int:
    """How many of the listed files and directories of frames are missing.

    Directories are listed once each: asking for a quarter of a million files one by one takes minutes on network
    storage.

    Raises:
        ConfigError: all are missing, or more than `max_bad_frac` of them; a directory has a start and an end.
    """
    listings: Listings = {}
    missing = []
    for position, path in enumerate(index.paths):
        segment = None if index.segments is None else index.segments[position]
        if not _exists(path, listings):
            missing.append(path)
        elif segment is not None and _is_directory(path, listings):
            raise ConfigError(
                f"{path} has start {segment[0]:g} and end {segment[1]:g} but is a directory: frames have no clock; "
                "list a directory with the frames wanted"
            )
    total = len(index.paths)
    if len(missing) == total:
        raise ConfigError(
            f"none of the {total} listed videos exists, the first would be {missing[0]}; "
            f"dataset.root= says what the paths in the list are relative to{_number_too_many(missing[0])}"
        )
    if len(missing) > max_bad_frac * total:
        raise ConfigError(
            f"{len(missing)} of {total} listed videos are missing, more than data.max_bad_frac={max_bad_frac:g} "
            f"allows, the first: {missing[0]}; get them, take them off the list or raise data.max_bad_frac"
        )
    return len(missing)


def checked_list(dataset: CsvDataset, option: str, value: str, max_bad_frac: float) -> VideoIndex:
    """The list that an option of the data set names, its files looked for."""
    classes = None if dataset.classes is None else find_file("dataset.classes", dataset.classes, dataset.root)
    index = index_csv(find_file(option, value, dataset.root), dataset.root, classes)
    return replace(index, missing=check_files(index, max_bad_frac))


def _number_too_many(path: str) -> str:
    """A hint where a number was taken for a part of the path: lists of other tools hold frame counts, too."""
    shorter = re.sub(r"[,\s]\s*[0-9]+$", "", path)
    is_there = shorter != path and os.path.exists(shorter)
    return f"; {shorter} does exist: expected no number but the label after it" if is_there else ""


def _exists(path: str, listings: Listings) -> bool:
    directory, name = os.path.split(path)
    if directory not in listings:
        listings[directory] = _listing(directory)
    # File systems that ignore case or normalise Unicode list another spelling.
    return name in listings[directory] or os.path.exists(path)


def _is_directory(path: str, listings: Listings) -> bool:
    directory, name = os.path.split(path)
    known = listings[directory].get(name)
    return os.path.isdir(path) if known is None else known


def _listing(directory: str) -> dict[str, bool | None]:
    """Names in a directory, and whether each is a directory; None for links, which would have to be followed."""
    try:
        with os.scandir(directory) as entries:
            return {e.name: None if e.is_symlink() else e.is_dir(follow_symlinks=False) for e in entries}
    except (OSError, ValueError):  # the latter for a NUL in the name
        return {}
