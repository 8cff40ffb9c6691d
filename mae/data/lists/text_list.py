"""Text lists: one video a line, with or without label, segment and stride.

`mae.data.lists.columns` has the grammar of those with a header, `mae.data.lists.lines` that of the others.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from mae.data.lists.class_names import CLASSES_FILE, read_class_names
from mae.data.lists.columns import lines_below, read_header
from mae.data.lists.labels import numbered_labels
from mae.data.lists.lines import Line, class_label, parse_line
from mae.data.lists.outputs import BETWEEN, Numbers, label_columns, label_sets, numbers
from mae.data.lists.places import absolute, existing_directory
from mae.data.lists.video_index import Segment, VideoIndex, list_digest
from mae.errors import ConfigError
from mae.files import native_name, read_utf8
from mae.options import CLASSIFICATION, MULTILABEL, REGRESSION

VALUE = "value"  # what a number is called that nobody named


@dataclass(frozen=True)
class Wanted:
    """What is to be learnt from the labels of a list."""

    task: str | None = CLASSIFICATION  # of `mae.options.TASKS`; None: nothing, they may be any of these
    columns: tuple[str, ...] = ()  # that hold it, by their names in the header; none: the column of labels

    def __post_init__(self) -> None:
        if self.task == CLASSIFICATION and len(self.columns) > 1:
            raise ConfigError(
                f"dataset.targets=[{','.join(self.columns)}] names {len(self.columns)} columns, and a class is one; "
                "several are for task=multilabel and task=regression"
            )


CLASSES = Wanted()
NOTHING = Wanted(None)


class ReadList(NamedTuple):
    """What stands in a list."""

    lines: list[Line]
    unused: tuple[str, ...]  # columns that mean nothing here
    label: str | None  # what the column of labels is called; None: there is none, or no header


def index_csv(
    list_path: str | Path, root: str | Path | None, classes: str | Path | None = None, wanted: Wanted = CLASSES
) -> VideoIndex:
    """The videos of a text list, in its order.

    Blank lines and lines that begin with `#` are skipped; start and end are seconds. Relative paths are relative to
    `root`, or to the list's own directory. Whether the files exist is for `check_files` to say.

    Args:
        list_path: the list.
        root: what its paths are relative to.
        classes: a file of class names, one a line; None: `classes.txt` beside the list, if there is one.
        wanted: what is learnt from its labels. Where that is nothing, they are numbered if they are classes.

    Raises:
        ConfigError: no such file or root, no line in the list, labels or segments on some lines only, a label
            without a class name, or labels that the task has none of.
    """
    list_path = absolute(list_path)
    base = list_path.parent if root is None else existing_directory(root)
    if wanted.task is not None:
        return _index(list_path, base, classes, wanted)
    try:
        index = _index(list_path, base, classes, CLASSES)
    except ConfigError:
        other = _of_another_task(list_path, base, classes)
        if other is None:
            raise
        return other
    may_be_several = any(BETWEEN.search(name) for name in index.class_names or ())
    return (may_be_several and _of_another_task(list_path, base, classes)) or index


def _of_another_task(list_path: Path, base: Path, classes: str | Path | None) -> VideoIndex | None:
    """The list with its labels as they are written, be they several for a video or numbers; None: they are neither."""
    for task in (MULTILABEL, REGRESSION):
        try:
            index = _index(list_path, base, classes, Wanted(task))
        except ConfigError:
            continue
        if not any(_is_no_class(told) for told in index.label_sets or index.targets or ()):
            continue  # a mistake in a list of classes, more likely
        names = index.class_names if task == MULTILABEL else None
        written = tuple(map(str, index.as_written or ()))
        return replace(index, class_names=names, written=written, label_sets=None, targets=None)
    return None


def _is_no_class(told: Sequence[float]) -> bool:
    """Whether what a video has is several labels or numbers, or a number with a fraction."""
    return len(told) > 1 or any(not float(number).is_integer() for number in told)


def _index(list_path: Path, base: Path, classes: str | Path | None, wanted: Wanted) -> VideoIndex:
    read = read_list(list_path, base, wanted)
    lines = read.lines
    names = None if wanted.task == REGRESSION else _class_names(list_path, classes)
    try:
        outputs = _outputs(read, wanted, names, classes or list_path.parent / CLASSES_FILE)
        segments = _all_or_no_segments(lines)
    except ConfigError as error:
        raise ConfigError(f"{list_path} {error}") from error
    paths = tuple(str(base / os.path.expanduser(native_name(line.path))) for line in lines)
    prefix = os.path.join(base, "")
    relative = [path.removeprefix(prefix).replace(os.sep, "/") for path in paths]
    strides = tuple(line.stride for line in lines) if any(line.stride for line in lines) else None
    notes = (("columns not used", ", ".join(read.unused)),) if read.unused else ()
    index = VideoIndex(paths, None, None, "", segments, strides, notes=notes, groups=_groups(list_path, lines))
    index = replace(index, **outputs)
    return replace(index, digest=list_digest(relative, index.as_written, segments, strides))


def _outputs(read: ReadList, wanted: Wanted, names: tuple[str, ...] | None, source: str | Path) -> dict[str, Any]:
    """The fields of a `VideoIndex` that say what is learnt."""
    lines, columns = read.lines, wanted.columns
    if wanted.task == REGRESSION:
        targets = numbers(lines, columns or (read.label or VALUE,))
        return {"targets": targets, "class_names": _names_of_numbers(targets, columns or (read.label,))}
    if wanted.task == MULTILABEL:
        if columns:
            return {"label_sets": label_columns(lines, columns), "class_names": columns, "is_numbered_by_name": True}
        sets, known, by_name = label_sets(lines, names, source)
        return {"label_sets": sets, "class_names": known, "is_numbered_by_name": by_name}
    if columns:
        lines = [line._replace(label=class_label(line.number, line.path, (line.outputs or ("",))[0])) for line in lines]
    labels, known, by_name = numbered_labels(lines, names, source)
    return {"labels": labels, "class_names": known, "is_numbered_by_name": by_name}


def _names_of_numbers(targets: Numbers | None, columns: Sequence[str | None]) -> tuple[str, ...] | None:
    """What the numbers of a list are called; None where it does not say."""
    if targets is None or None in columns:
        return None
    named = tuple(str(column) for column in columns)
    count = len(targets[0])
    return named if len(named) == count else tuple(f"{named[0]}_{position}" for position in range(count))


def _groups(list_path: Path, lines: Sequence[Line]) -> tuple[str, ...] | None:
    groups = tuple(line.group for line in lines)
    if not any(groups):
        return None
    told = tuple(group for group in groups if group)
    if len(told) < len(groups):
        line = lines[groups.index("") if "" in groups else groups.index(None)]
        raise ConfigError(f"{list_path} line {line.number}: {line.path!r} has no group; expected one on every line")
    return told


def read_list(list_path: Path, base: Path, wanted: Wanted = CLASSES) -> ReadList:
    """The videos of a list.

    Args:
        base: what relative paths are relative to: a first line that is the name of a file is no header.
        wanted: what is learnt from it.

    Raises:
        ConfigError: no such file, no video in it, a line that makes no sense, or a column that is not there.
    """
    texts = read_utf8(list_path, "the list ").split("\n")
    content = [(number, text.strip()) for number, text in enumerate(texts, start=1)]
    content = [(number, text) for number, text in content if text and not text.startswith("#")]
    as_written = wanted.task in (MULTILABEL, REGRESSION)

    def exists(name: str) -> bool:
        return bool(name) and os.path.exists(base / native_name(name))

    try:
        header = read_header(content[0][1], exists, wanted.columns) if content else None
        if header is not None:
            number = content[0][0]
            lines = lines_below(header, texts[number:], number + 1, as_written)
            read = ReadList(lines, header.unused, header.label)
        elif content and wanted.columns:
            raise ConfigError(
                f"line {content[0][0]}: {content[0][1]!r} is no header, and dataset.targets names columns: expected "
                f"one as path,{','.join(wanted.columns)}"
            )
        else:
            names_directories = bool(content) and _names_directories(content[0][1], base, as_written)
            lines = [parse_line(number, text, names_directories, as_written) for number, text in content]
            read = ReadList(lines, (), None)
    except ConfigError as error:
        raise ConfigError(f"{list_path} {error}") from error
    if not read.lines:
        raise ConfigError(f"{list_path} lists no video; expected one `path` or `path label` a line")
    return read


def read_lines(list_path: Path, base: Path) -> list[Line]:
    """The videos of a list whatever its labels are; arguments and errors as of `read_list`."""
    try:
        return read_list(list_path, base).lines
    except ConfigError as error:
        try:
            return read_list(list_path, base, Wanted(REGRESSION)).lines
        except ConfigError:
            raise error from None


def _names_directories(text: str, base: Path, as_written: bool) -> bool:
    """Whether what stands behind the first line's comma is the name of a class, as only the disk can tell."""
    path = parse_line(1, text, names_directories=True, as_written=as_written).path
    return path != text and os.path.exists(base / native_name(path)) and not os.path.exists(base / native_name(text))


def _all_or_no_segments(lines: list[Line]) -> tuple[Segment | None, ...] | None:
    first = lines[0]
    for line in lines:
        if line.has_columns != first.has_columns:
            one, other = (first, line) if line.has_columns else (line, first)
            raise ConfigError(
                f"line {one.number}: {one.path!r} has no start and end but line {other.number} has; "
                "where the whole video is meant, write `path,label,,`"
            )
    segments = tuple(line.segment for line in lines)
    return segments if any(segments) else None


def _class_names(list_path: Path, classes: str | Path | None) -> tuple[str, ...] | None:
    beside = list_path.parent / CLASSES_FILE
    if classes is not None:
        return read_class_names(absolute(classes))
    return read_class_names(beside) if beside.is_file() and beside != list_path else None
