"""The command that makes lists of a copy of a public data set: `python datasets/<name>/prepare.py`."""

import argparse
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mae.cli.arguments import Parser
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
    max_missing: float  # share of a list that may be missing without --allow-missing
    read: Callable[[Path, int], Annotations]  # from the folder of annotations and the number of the split
    key_of: Callable[[str], Hashable]  # of a file, see `mae.data.lists.official.video_files`


def parse_arguments(dataset: OfficialDataset, words: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command.

    Raises:
        ConfigError: wrong ones.
    """
    parser = Parser(
        prog=f"python datasets/{dataset.name}/prepare.py",
        description=f"Lists of videos and labels of {dataset.name}, from its official annotations.",
    )
    parser.add_argument("--annotations", metavar="DIR", type=absolute, required=True, help="official annotations")
    parser.add_argument("--videos", metavar="DIR", type=absolute, required=True, help="videos; dataset.root= later on")
    parser.add_argument("--out", metavar="DIR", type=absolute, help="where the lists go; default: the folder of videos")
    if dataset.num_splits > 1:
        numbers = range(1, dataset.num_splits + 1)
        parser.add_argument("--split", type=int, choices=numbers, default=1, help="official split; default: 1")
    else:
        parser.set_defaults(split=1)
    allowed = f"more than {100 * dataset.max_missing:g} %% of a list" if dataset.max_missing else "any video"
    parser.add_argument("--allow-missing", action="store_true", help=f"make lists also if {allowed} is missing")
    parser.add_argument("--overwrite", action="store_true", help="replace lists with other content")
    given = parser.parse_args(words)
    given.out = given.out or given.videos
    return given


def prepare(dataset: OfficialDataset, given: argparse.Namespace) -> str:
    """Writes a list for each split, `classes.txt` and `missing.txt`; returns what to print.

    `missing.txt` is there also when too much is missing, the lists are not.

    Raises:
        ConfigError: annotations of another form, too many videos missing, files that are in the way.
    """
    annotations = dataset.read(given.annotations, given.split)
    files = VideoFiles(given.videos, dataset.key_of)
    compared = [_compare(split, files) for split in annotations.splits]
    if not any(one.present for one in compared):
        first = annotations.splits[0]
        raise ConfigError(
            f"none of the {len(first.videos)} videos of {first.name} is among the {files.count} below --videos "
            f"{files.root}; the first would be {first.videos[0].name}"
        )
    # A copy without an optional list is complete.
    counted = [one for one in compared if one.present or not one.split.is_optional]
    missing = [f"{one.split.name}\t{name}\n" for one in counted for name in one.absent]
    missing_file = given.out / MISSING_FILE
    _write_missing(missing_file, dataset, missing)
    too_many = [one for one in counted if len(one.absent) > dataset.max_missing * len(one.split.videos)]
    if too_many and not given.allow_missing:
        parts = [f"{len(o.absent)} of {len(o.split.videos)} of {o.split.name}, as {o.absent[0]}" for o in too_many]
        raise ConfigError(
            f"videos are missing: {'; '.join(parts)}. {missing_file} lists them. Get them, or make lists without "
            "them: --allow-missing"
        )
    lists = {given.out / f"{one.split.name}.csv": _list_of(one.present) for one in compared if one.present}
    lists[given.out / CLASSES_FILE] = "".join(f"{name}\n" for name in annotations.class_names)
    write_files(lists, given.overwrite, keep=annotations.sources)
    told = [one.told() for one in compared]
    told.append(f"{CLASSES_FILE}: {len(annotations.class_names)} classes")
    if len(annotations.class_names) != dataset.num_classes:
        told.append(f"  the whole data set has {dataset.num_classes}: labels differ from those of published models")
    return "\n".join([*told, f"{MISSING_FILE}: {len(missing)} videos", f"in {given.out}"])


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
