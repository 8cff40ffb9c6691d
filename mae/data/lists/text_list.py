"""Lists: one video a line or row, with or without label, segment and stride.

`mae.data.lists.columns` has the grammar of texts with a header, `mae.data.lists.lines` that of the others. Parquet, and
texts of very many lines, are read by `mae.data.lists.tables`.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from mae.cli.commands import to_install
from mae.data.lists.class_names import CLASSES_FILE, read_class_names
from mae.data.lists.column import distinct, mapped
from mae.data.lists.columns import lines_below, read_header
from mae.data.lists.labels import no_group, numbered_labels
from mae.data.lists.lines import Line, class_label, parse_line
from mae.data.lists.outputs import BETWEEN, label_columns, label_sets, numbers
from mae.data.lists.places import Place, absolute, existing_base, located
from mae.data.lists.table_list import index_table
from mae.data.lists.tables import Table, has_arrow, is_long, read_table
from mae.data.lists.video_index import Segment, VideoIndex, list_digest
from mae.data.lists.wanted import CLASSES, NOTHING, VALUE, Wanted, names_of_numbers
from mae.data.remote.address import at_address, is_remote, parent_address
from mae.data.remote.copies import exists_at, local_list
from mae.errors import ConfigError
from mae.files import native_name, read_utf8
from mae.options import MULTILABEL, REGRESSION

__all__ = ["CLASSES", "NOTHING", "ReadList", "Wanted", "index_csv", "read_lines", "read_list"]


class ReadList(NamedTuple):
    """What stands in a list."""

    lines: list[Line]
    unused: tuple[str, ...]  # columns that mean nothing here
    label: str | None  # what the column of labels is called; None: there is none, or no header


def index_csv(
    list_path: str | Path, root: str | Path | None, classes: str | Path | None = None, wanted: Wanted = CLASSES
) -> VideoIndex:
    """The videos of a list, in its order: of a text, or of Parquet, where a row of the table is a line.

    Blank lines and lines that begin with `#` are skipped; start and end are seconds. Relative paths are relative to
    `root`, or to the list's own directory. Whether the files exist is for `check_files` to say.

    Args:
        list_path: the list, or its address; so `root` and `classes`.
        root: what its paths are relative to.
        classes: a file of class names, one a line; None: `classes.txt` beside the list, if there is one.
        wanted: what is learnt from its labels. Where that is nothing, they are numbered if they are classes.

    Raises:
        ConfigError: no such file or root, no line in the list, labels or segments on some lines only, a label
            without a class name, or labels that the task has none of.
    """
    place: Place = str(list_path) if is_remote(list_path) else absolute(list_path)
    beside = parent_address(place) if isinstance(place, str) else place.parent
    if isinstance(beside, str) and classes is None:
        with suppress(ConfigError):  # the list itself will tell
            classes = names if exists_at(names := at_address(beside, CLASSES_FILE)) else None
    base = beside if root is None else existing_base(root)
    with ExitStack() as held:
        copies = {file: held.enter_context(local_list(str(file))) for file in (place, classes) if is_remote(file)}
        path = Path(copies.get(place, place))
        try:
            return _File.opened(path, base, copies.get(classes, classes), wanted).index_of(wanted)
        except ConfigError as error:
            message = str(error)
            for address, copy in copies.items():
                message = message.replace(str(copy), str(address))
            raise ConfigError(message) from error


@dataclass(frozen=True)
class _File:
    """A list on this machine, whatever is learnt from it."""

    path: Path
    base: Place  # what its relative paths are relative to
    classes: str | Path | None
    table: Table | None  # what stands in it; None: it is read line by line

    @classmethod
    def opened(cls, path: Path, base: Place, classes: str | Path | None, wanted: Wanted) -> "_File":
        """The file with its table, if it is one."""
        try:
            table = read_table(path, lambda name: _exists(base, name), wanted.columns)
        except ConfigError as error:
            told = str(error)
            raise error if str(path) in told else ConfigError(f"{path} {told}") from error
        return cls(path, base, classes, table)

    def index_of(self, wanted: Wanted) -> VideoIndex:
        """See `index_csv`."""
        if wanted.task is not None:
            return self._index(wanted)
        try:
            index = self._index(CLASSES)
        except ConfigError:
            other = self._of_another_task()
            if other is None:
                raise
            return other
        may_be_several = any(BETWEEN.search(name) for name in index.class_names or ())
        return (may_be_several and self._of_another_task()) or index

    def _of_another_task(self) -> VideoIndex | None:
        """The list with its labels as they are written, be they several for a video or numbers; None: neither."""
        for task in (MULTILABEL, REGRESSION):
            try:
                index = self._index(Wanted(task))
            except ConfigError:
                continue
            if not any(_is_no_class(told) for told in distinct(index.label_sets or index.targets or ())):
                continue  # a mistake in a list of classes, more likely
            names = index.class_names if task == MULTILABEL else None
            written = mapped(str, index.as_written or ())
            return replace(index, class_names=names, written=written, label_sets=None, targets=None)
        return None

    def _index(self, wanted: Wanted) -> VideoIndex:
        names = None if wanted.task == REGRESSION else _class_names(self.path, self.classes)
        source = self.classes or self.path.parent / CLASSES_FILE
        if self.table is None:
            return _index_lines(self.path, self.base, names, source, wanted)
        try:
            return index_table(self.table, self.base, names, source, wanted)
        except ConfigError as error:
            raise ConfigError(f"{self.path} {error}") from error


def _is_no_class(told: Sequence[float]) -> bool:
    """Whether what a video has is several labels or numbers, or a number with a fraction."""
    return len(told) > 1 or any(not float(number).is_integer() for number in told)


def _index_lines(
    list_path: Path, base: Place, names: tuple[str, ...] | None, source: str | Path, wanted: Wanted
) -> VideoIndex:
    """As `mae.data.lists.table_list.index_table`, of a text that is read line by line."""
    read = read_list(list_path, base, wanted)
    lines = read.lines
    try:
        outputs = _outputs(read, wanted, names, source)
        segments = _all_or_no_segments(lines)
    except ConfigError as error:
        raise ConfigError(f"{list_path} {error}") from error
    paths = tuple(_path_of(base, line.path) for line in lines)
    prefix = os.path.join(base, "")
    relative = [path.removeprefix(prefix).replace(os.sep, "/") for path in paths]
    strides = tuple(line.stride for line in lines) if any(line.stride for line in lines) else None
    index = VideoIndex(paths, None, None, "", segments, strides, notes=_notes(list_path, read))
    index = replace(index, groups=_groups(list_path, lines), **outputs)
    return replace(index, digest=list_digest(relative, index.as_written, segments, strides))


def _path_of(base: Place, written: str) -> str:
    """The absolute path, or the address, of what a line has."""
    if isinstance(base, str) or is_remote(written):
        return located(str(base), written)
    return str(base / os.path.expanduser(native_name(written)))


def _notes(list_path: Path, read: ReadList) -> tuple[tuple[str, str], ...]:
    notes = [("columns not used", ", ".join(read.unused))] if read.unused else []
    if is_long(list_path) and not has_arrow():
        notes.append(("a long list", f"it is read in seconds where pyarrow is installed: {to_install('large')}"))
    return tuple(notes)


def _exists(base: Place, name: str) -> bool:
    """Whether there is a file that a list may mean; of those at addresses nobody asks."""
    return not isinstance(base, str) and bool(name) and os.path.exists(base / native_name(name))


def _outputs(read: ReadList, wanted: Wanted, names: tuple[str, ...] | None, source: str | Path) -> dict[str, Any]:
    """The fields of a `VideoIndex` that say what is learnt."""
    lines, columns = read.lines, wanted.columns
    if wanted.task == REGRESSION:
        targets = numbers(lines, columns or (read.label or VALUE,))
        return {"targets": targets, "class_names": names_of_numbers(targets, columns or (read.label,))}
    if wanted.task == MULTILABEL:
        if columns:
            return {"label_sets": label_columns(lines, columns), "class_names": columns, "is_numbered_by_name": True}
        sets, known, by_name = label_sets(lines, names, source)
        return {"label_sets": sets, "class_names": known, "is_numbered_by_name": by_name}
    if columns:
        lines = [line._replace(label=class_label(line.where, line.path, (line.outputs or ("",))[0])) for line in lines]
    labels, known, by_name = numbered_labels(lines, names, source)
    return {"labels": labels, "class_names": known, "is_numbered_by_name": by_name}


def _groups(list_path: Path, lines: Sequence[Line]) -> tuple[str, ...] | None:
    groups = tuple(line.group for line in lines)
    if not any(groups):
        return None
    told = tuple(group for group in groups if group)
    if len(told) < len(groups):
        line = lines[groups.index("") if "" in groups else groups.index(None)]
        raise ConfigError(f"{list_path} {no_group(line)}")
    return told


def read_list(list_path: Path, base: Place, wanted: Wanted = CLASSES) -> ReadList:
    """The videos of a text, line by line.

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
        return _exists(base, name)

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


def read_lines(list_path: Path, base: Place) -> list[Line]:
    """The videos of a list whatever its labels are; arguments and errors as of `read_list`."""
    try:
        return read_list(list_path, base).lines
    except ConfigError as error:
        try:
            return read_list(list_path, base, Wanted(REGRESSION)).lines
        except ConfigError:
            raise error from None


def _names_directories(text: str, base: Place, as_written: bool) -> bool:
    """Whether what stands behind the first line's comma is the name of a class, as only the disk can tell."""
    path = parse_line(1, text, names_directories=True, as_written=as_written).path
    return path != text and _exists(base, path) and not _exists(base, text)


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
