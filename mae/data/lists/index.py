"""The list of videos of a data set: from `dataset=` to absolute paths, labels and segments."""

import hashlib
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mae.data.config import CsvDataset, DatasetConfig, FolderDataset, RenderedDataset
from mae.data.lists.column import Column, Paths
from mae.data.lists.folder import index_folder
from mae.data.lists.found import NO_FRAMES
from mae.data.lists.listed_files import ListedFiles, has_pattern, missing_in_shard
from mae.data.lists.places import absolute_place, existing_directory, find_file
from mae.data.lists.split_folders import split_folders
from mae.data.lists.text_list import NOTHING, Wanted, index_csv
from mae.data.lists.video_index import VideoIndex, list_digest
from mae.data.remote.address import is_remote
from mae.data.videos.frame_directory import series_in
from mae.data.videos.frame_series import describe, how_to_choose
from mae.data.videos.shards import split_shard
from mae.errors import ConfigError

# Videos that are looked for at the start, each: of more, so many; of those at addresses, so many.
MOST_LOOKED_FOR, SAMPLE, MOST_ASKED = 250_000, 10_000, 64

__all__ = [
    "VideoIndex",
    "build_index",
    "check_files",
    "index_csv",
    "index_folder",
    "single_video",
]


def build_index(
    dataset: DatasetConfig,
    max_bad_frac: float,
    progress: Callable[[int, int], None] | None = None,
    frames: str | None = None,
    task: str | None = None,
) -> VideoIndex:
    """The training videos of `dataset=`; those of a rendered set are made where they are missing.

    Args:
        progress: called with how many are done and in all, after every rendered video.
        frames: which pictures of a directory are its frames, as `data.frames=` says.
        task: of `mae.options.TASKS`: what is learnt from the labels of a list; None: nothing.

    Raises:
        ConfigError: nothing to read, a malformed list, or more than `max_bad_frac` of the listed files missing.
    """
    if isinstance(dataset, RenderedDataset):
        return index_rendered(dataset, progress)
    if isinstance(dataset, FolderDataset):
        return training_folder(dataset.root, frames)
    if dataset.train is None:
        raise ConfigError("dataset.train is not set; give the list of videos: dataset.train=list.csv")
    return checked_list(dataset, "dataset.train", dataset.train, max_bad_frac, frames, task)


def training_folder(root: str | None, frames: str | None = None) -> VideoIndex:
    """The videos of a folder, or of its part for training where it is divided; errors as `index_folder`."""
    parts = None if root is None else split_folders(existing_directory(root))
    index = index_folder(root if parts is None else parts.train, frames=frames, frames_option="data.frames=")
    return index if parts is None else replace(index, notes=(*parts.notes(), *index.notes))


def index_rendered(
    dataset: RenderedDataset, progress: Callable[[int, int], None] | None = None, held_out: bool = False
) -> VideoIndex:
    """The videos of a rendered data set, or those it holds out; see `mae.data.rendered.render.ensure_rendered`."""
    from mae.data.rendered.render import ensure_rendered

    return index_folder(ensure_rendered(dataset, progress, held_out))


def single_video(path: str | Path) -> VideoIndex:
    """One file, or what is at an address, as a data set without labels; it is read only when it is wanted."""
    place = absolute_place(path)
    return VideoIndex((str(place),), None, None, list_digest([os.path.basename(place)], None))


def places_to_look(index: VideoIndex) -> Sequence[int]:
    """The videos of a list that are looked for at the start: all, or of millions and of addresses an even sample."""
    count = len(index.paths)
    if isinstance(index.paths, Column) and count > MOST_LOOKED_FOR:
        places = np.linspace(0, count - 1, SAMPLE).round().astype(int).tolist()
    else:
        places = list(range(count))
    remote = [place for place in places if is_remote(index.paths[place])]
    asked = set(remote[:: max(-(-len(remote) // MOST_ASKED), 1)])
    return places if len(asked) == len(remote) else sorted(asked | set(places).difference(remote))


def check_files(
    index: VideoIndex, max_bad_frac: float, files: ListedFiles | None = None, places: Sequence[int] | None = None
) -> int:
    """How many of the listed files and directories of frames are missing.

    Args:
        places: those that are looked for; None: all.

    Raises:
        ConfigError: all are missing, or more than `max_bad_frac` of them; a directory has a start and an end.
    """
    files = files or ListedFiles()
    missing = []
    for position in range(len(index.paths)) if places is None else places:
        path, segment, _ = index.entry(position)
        if not files.exists(path):
            missing.append(path)
        elif segment is not None and files.is_directory(path):
            raise ConfigError(
                f"{path} has start {segment[0]:g} and end {segment[1]:g} but is a directory: frames have no clock; "
                "list a directory with the frames wanted"
            )
    total = len(index.paths)
    looked = total if places is None else len(places)
    sample = "" if looked == total else f"{looked} looked for, of the "
    if len(missing) == looked:
        raise ConfigError(
            f"none of the {sample}{total} listed videos exists, the first would be {missing[0]}{_why(missing[0])}; "
            f"dataset.root= says what the paths in the list are relative to{_word_too_many(missing[0])}"
        )
    # Of a sample a few more may be missing than of all.
    expected = max_bad_frac * looked
    if len(missing) > expected + (0 if looked == total else 3 * math.sqrt(expected)):
        raise ConfigError(
            f"{len(missing)} of {sample}{total} listed videos are missing, more than "
            f"data.max_bad_frac={max_bad_frac:g} allows, the first: {missing[0]}{_why(missing[0])}; get them, take "
            "them off the list or raise data.max_bad_frac"
        )
    return len(missing)


def choose_frames(
    index: VideoIndex,
    frames: str | None,
    files: ListedFiles | None = None,
    option: str | None = "data.frames=",
    places: Sequence[int] | None = None,
) -> VideoIndex:
    """The list with the frames named that are meant of every directory of pictures in it.

    Args:
        frames: their pattern; None: a directory has to hold one series, which is asked of the first one only: the
            others are looked into when they are read.
        option: what `frames` is called in messages; None: the caller has no such option.
        places: the videos that are looked at, for all; None: those of `places_to_look`.

    Raises:
        ConfigError: the first directory holds several series; directories beside files where not each is looked at.
    """
    files = files or ListedFiles()
    places = places_to_look(index) if places is None else places
    if frames in (None, NO_FRAMES):
        looked_at = (index.paths[place] for place in places)
        first = next((path for path in looked_at if files.is_directory(path) and not has_pattern(path)), None)
        if first is not None and len(series := series_in(first)) > 1:
            raise ConfigError(
                f"{first} holds several series of pictures, {describe(series)}; {how_to_choose(series, option)}"
            )
        return index
    assert frames is not None
    if isinstance(index.paths, Paths) and len(places) < len(index.paths):
        return _with_frames_of_all(index, index.paths, frames, files, places)
    chosen = [files.is_directory(path) and not has_pattern(path) for path in index.paths]
    paths = [os.path.join(path, frames) if is_one else path for path, is_one in zip(index.paths, chosen, strict=True)]
    return replace(index, paths=tuple(paths), digest=_digest_with(index, frames) if any(chosen) else index.digest)


def _with_frames_of_all(
    index: VideoIndex, paths: Paths, frames: str, files: ListedFiles, places: Sequence[int]
) -> VideoIndex:
    """As `choose_frames`, of so many videos that what some are is taken for what all are."""
    looked_at = [paths[place] for place in places]
    kinds = {files.is_directory(path): path for path in looked_at if files.exists(path) and not has_pattern(path)}
    if len(kinds) > 1:
        raise ConfigError(
            f"{kinds[True]} is a directory of frames and {kinds[False]} is none: in a list of {len(paths)} videos all "
            "have to be one or the other where data.frames= says which pictures are frames"
        )
    if True not in kinds:
        return index
    return replace(index, paths=Paths(paths.base, paths.written, f"/{frames}"), digest=_digest_with(index, frames))


def _digest_with(index: VideoIndex, frames: str) -> str:
    return hashlib.sha256(f"{index.digest} frames {frames}".encode()).hexdigest()


def checked_list(
    dataset: CsvDataset,
    option: str,
    value: str,
    max_bad_frac: float,
    frames: str | None = None,
    task: str | None = None,
) -> VideoIndex:
    """The list that an option of the data set names, its files looked for; `task` as of `build_index`."""
    classes = None if dataset.classes is None else find_file("dataset.classes", dataset.classes, dataset.root)
    wanted = NOTHING if task is None else Wanted(task, tuple(dataset.targets))
    index = index_csv(find_file(option, value, dataset.root), dataset.root, classes, wanted)
    places = places_to_look(index)
    files = ListedFiles(lists_directories=len(places) == len(index.paths))
    files.ask_addresses(index.paths[place] for place in places)
    missing = check_files(index, max_bad_frac, files, places)
    if len(places) == len(index.paths):
        index = replace(index, missing=missing)
    else:
        told = f"{len(places)} of {len(index.paths)} videos, evenly over the list, of which {missing} are missing"
        index = replace(index, notes=(*index.notes, ("looked for", told)))
    return choose_frames(index, frames, files, places=places)


def _why(path: str) -> str:
    """What is wrong with the shard that a path leads into."""
    return "" if split_shard(path) is None else f" ({missing_in_shard(path)})"


def _word_too_many(path: str) -> str:
    """A hint where a word or a number behind a path was taken for a part of it."""
    while (shorter := re.sub(r"[,;\s]+[^,;\s/]*$", "", path)) != path:
        if os.path.exists(shorter):
            return (
                f"; {shorter} does exist: expected nothing but the label after it, or a header that says what else "
                "there is, as path,num_frames,label"
            )
        path = shorter
    return ""
