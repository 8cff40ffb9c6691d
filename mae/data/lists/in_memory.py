"""A list of videos that a program holds, instead of a file."""

import os
from collections.abc import Sequence
from pathlib import Path

from mae.data.lists.labels import numbered_labels
from mae.data.lists.lines import Line
from mae.data.lists.places import absolute, existing_directory
from mae.data.lists.video_index import VideoIndex, list_digest
from mae.data.remote.address import is_remote
from mae.errors import ConfigError, shown

Entry = str | Path | tuple[str | Path, int | str]  # a path, or a path and its label


def index_entries(option: str, entries: Sequence[Entry], root: str | None = None) -> VideoIndex:
    """The videos of a list in its order, labels numbered as those of a text list are.

    Args:
        option: how the list is called in messages, as `videos=`.
        entries: paths, or pairs of a path and its label: a number, or a name.
        root: what relative paths are relative to; None: the working directory.

    Raises:
        ConfigError: no entry, one that is something else, labels of some alone, or numbers beside names.
    """
    base = absolute(".") if root is None else existing_directory(root, "root=")
    lines = [_line(option, number, entry) for number, entry in enumerate(entries, start=1)]
    if not lines:
        raise ConfigError(f"{option}[] lists no video; expected paths, or pairs of a path and its label")
    try:
        labels, names, by_name = numbered_labels(lines, None, option)
    except ConfigError as error:
        raise ConfigError(f"{option}[…], {error}") from error
    paths = tuple(line.path if is_remote(line.path) else str(base / os.path.expanduser(line.path)) for line in lines)
    digest = list_digest([line.path for line in lines], labels)
    return VideoIndex(paths, labels, names, digest, is_numbered_by_name=by_name)


def _line(option: str, number: int, entry: Entry) -> Line:
    path, label = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, None)
    if not isinstance(path, str | os.PathLike) or not isinstance(label, str | int | None):
        raise ConfigError(
            f"{option}[…], line {number} is {shown(entry)}; expected a path, or a pair of a path and its label"
        )
    return Line(number, os.fspath(path), label, None, has_columns=False)
