"""What official annotations say, whichever form they come in, and readers of the forms."""

import csv
import io
import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mae.errors import ConfigError
from mae.files import read_utf8


@dataclass(frozen=True)
class AnnotatedVideo:
    """One video of an annotation."""

    name: str  # what it is called where it is missing
    keys: tuple[Hashable, ...]  # what a file of it may be known by, the surest first
    label: int | None  # class from 0; None where the annotation holds none


@dataclass(frozen=True)
class Split:
    """The videos of one list."""

    name: str  # "train" becomes train.csv
    videos: tuple[AnnotatedVideo, ...]
    is_optional: bool = False  # left out where none of its videos is found


@dataclass(frozen=True)
class Annotations:
    """Everything that was read of a data set."""

    class_names: tuple[str, ...]
    splits: tuple[Split, ...]
    sources: tuple[Path, ...]  # the files read, which lists must never replace


def annotation_file(directory: Path, *names: str) -> Path:
    """The first of `names` in `directory`; raises `ConfigError` where none is there."""
    found = optional_file(directory, *names)
    if found is None:
        raise ConfigError(
            f"annotations={directory} holds no {' or '.join(names)}; give the folder of the official annotations"
        )
    return found


def optional_file(directory: Path, *names: str) -> Path | None:
    """The first of `names` that is in `directory`."""
    if not directory.is_dir():
        raise ConfigError(f"annotations={directory} is not a directory")
    return next((directory / name for name in names if (directory / name).is_file()), None)


def read_text(path: Path) -> str:
    """The content of a text file; raises `ConfigError` where it cannot be read or is empty."""
    text = read_utf8(path)
    if not text.strip():
        raise ConfigError(f"{path} is empty; is the download complete?")
    return text


def read_json(path: Path, kind: type) -> Any:
    """The list or object in a JSON file; raises `ConfigError` for anything else, and for an empty one."""
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, kind) or not content:
        expected = "list of videos" if kind is list else "object of names and numbers"
        raise ConfigError(f"{path} holds no {expected} as JSON; is it another file?")
    return content


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not empty, stripped."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and named fields of every row of a CSV file with a header.

    Raises:
        ConfigError: one of `columns` is not in the header or empty in a row, or there is no row.
    """
    rows = csv.DictReader(io.StringIO(read_text(path)), skipinitialspace=True)
    absent = [name for name in columns if name not in (rows.fieldnames or ())]
    if absent:
        raise ConfigError(f"{path} has no column {absent[0]!r} in its first line; expected {','.join(columns)}")
    is_empty = True
    try:
        for row in rows:
            is_empty = False
            for name in columns:
                if not row[name]:
                    raise ConfigError(f"{path} line {rows.line_num}: no {name}")
            yield rows.line_num, row
    except csv.Error as error:
        raise ConfigError(f"{path} line {rows.line_num}: {error}") from error
    if is_empty:
        raise ConfigError(f"{path} lists no video")


def checked_videos(path: Path, videos: Sequence[tuple[int, AnnotatedVideo]]) -> tuple[AnnotatedVideo, ...]:
    """The videos, given with their line or place; raises `ConfigError` where there is none, or one twice."""
    if not videos:
        raise ConfigError(f"{path} lists no video")
    first: dict[Hashable, int] = {}
    for number, video in videos:
        if first.setdefault(video.keys[0], number) != number:
            raise ConfigError(f"{path}: {video.name} is listed twice, at {first[video.keys[0]]} and {number}")
    return tuple(video for _, video in videos)
