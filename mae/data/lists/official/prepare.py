"""The command that makes lists of a copy of a public data set: `python datasets/<name>/prepare.py`."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from mae.cli.arguments import command_config
from mae.cli.command import run_command
from mae.cli.typed import PATH
from mae.data.lists.class_names import CLASSES_FILE
from mae.data.lists.official.annotations import Annotations, Split
from mae.data.lists.official.video_files import VideoFiles
from mae.data.lists.places import absolute
from mae.data.lists.write_lists import list_text, write_files
from mae.errors import ConfigError

MISSING_FILE = "missing.txt"


@dataclass(frozen=True)
class OfficialDataset:
    """What differs between the data sets."""

    name: str  # as in `dataset=` and `datasets/`
    num_classes: int  # of the whole data set
    num_splits: int  # ways in which it is officially divided
    max_missing: float  # share of a list that may be missing without allow_missing=true
    read: Callable[[Path, int], Annotations]  # from the folder of annotations and the number of the split
    key_of: Callable[[str], Hashable]  # of a file, see `mae.data.lists.official.video_files`


@dataclass(frozen=True)
class PrepareConfig:
    """The arguments of the command; `ARGUMENTS` says more."""

    annotations: str = field(metadata=PATH)
    videos: str = field(metadata=PATH)
    output: str | None = field(default=None, metadata=PATH)
    split: int = 1
    allow_missing: bool = False
    overwrite: bool = False


ARGUMENTS = """
annotations    folder of the official annotations
videos         folder of the videos; what dataset.root= is to be later on
output         folder of the lists (default: that of the videos)
split          of a data set that is officially divided in several ways: 1 (default), 2 or 3
allow_missing  true: make lists also if more videos are missing than may be
overwrite      true: replace lists with other content"""


def run_prepare(dataset: OfficialDataset, documentation: str) -> NoReturn:
    """Runs the command of a data set; `documentation` is its own part of what `--help` prints."""
    run_command(lambda words: print(prepare(dataset, parse_arguments(dataset, words))), documentation + ARGUMENTS)


def parse_arguments(dataset: OfficialDataset, words: Sequence[str]) -> PrepareConfig:
    """The arguments of the command.

    Raises:
        ConfigError: wrong ones.
    """
    given = command_config(PrepareConfig, words)
    if not 1 <= given.split <= dataset.num_splits:
        raise ConfigError(f"split={given.split} does not exist: {dataset.name} has {dataset.num_splits}")
    return given


def prepare(dataset: OfficialDataset, given: PrepareConfig) -> str:
    """Writes a list for each split, `classes.txt` and `missing.txt`; returns what to print.

    `missing.txt` is there also when too much is missing, the lists are not.

    Raises:
        ConfigError: annotations of another form, too many videos missing, files that are in the way.
    """
    output = absolute(given.output or given.videos)
    annotations = dataset.read(absolute(given.annotations), given.split)
    files = VideoFiles(absolute(given.videos), dataset.key_of)
    compared = [_compare(split, files) for split in annotations.splits]
    if not any(one.present for one in compared):
        first = annotations.splits[0]
        raise ConfigError(
            f"none of the {len(first.videos)} videos of {first.name} is among the {files.count} below "
            f"videos={files.root}; the first would be {first.videos[0].name}"
        )
    # A copy without an optional list is complete.
    counted = [one for one in compared if one.present or not one.split.is_optional]
    missing = [f"{one.split.name}\t{name}\n" for one in counted for name in one.absent]
    missing_file = output / MISSING_FILE
    _write_missing(missing_file, dataset, missing)
    too_many = [one for one in counted if len(one.absent) > dataset.max_missing * len(one.split.videos)]
    if too_many and not given.allow_missing:
        parts = [f"{len(o.absent)} of {len(o.split.videos)} of {o.split.name}, as {o.absent[0]}" for o in too_many]
        raise ConfigError(
            f"videos are missing: {'; '.join(parts)}. {missing_file} lists them. Get them, or make lists without "
            "them: allow_missing=true"
        )
    lists = {output / f"{one.split.name}.csv": _list_of(one.present) for one in compared if one.present}
    lists[output / CLASSES_FILE] = "".join(f"{name}\n" for name in annotations.class_names)
    write_files(lists, given.overwrite, keep=annotations.sources)
    told = [one.told() for one in compared]
    told.append(f"{CLASSES_FILE}: {len(annotations.class_names)} classes")
    if len(annotations.class_names) != dataset.num_classes:
        told.append(f"  the whole data set has {dataset.num_classes}: labels differ from those of published models")
    return "\n".join([*told, f"{MISSING_FILE}: {len(missing)} videos", f"in {output}"])


@dataclass(frozen=True)
class _Compared:
    """A split and a copy of its videos."""

    split: Split
    present: list[tuple[str, int | None]]  # path relative to the videos, and label
    absent: list[str]  # names

    def told(self) -> str:
        name = self.split.name
        if not self.present:
            return f"{name}: none of {len(self.split.videos)} videos is there, so no {name}.csv"
        return f"{name}.csv: {len(self.present)} videos; {len(self.absent)} of the annotation are missing"


def _compare(split: Split, files: VideoFiles) -> _Compared:
    pairs = list(zip(files.find(split.videos), split.videos, strict=True))
    present = [(path, video.label) for path, video in pairs if path is not None]
    return _Compared(split, present, [video.name for path, video in pairs if path is None])


def _list_of(present: list[tuple[str, int | None]]) -> str:
    labels = [label for _, label in present if label is not None]
    return list_text([path for path, _ in present], labels or None)


def _write_missing(path: Path, dataset: OfficialDataset, lines: list[str]) -> None:
    """This file is replaced without asking, provided that it is one of ours."""
    first = f"# videos that the annotations of {dataset.name} have and this copy has not: list and name\n"
    is_ours = path.is_file() and path.read_bytes().startswith(first.encode())
    write_files({path: first + "".join(lines)}, overwrite=is_ours)
