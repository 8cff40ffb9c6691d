"""Lists as tables of Arrow's, column by column: Parquet, and long texts that are as regular as a table.

A text is read so only where that gives what `mae.data.lists.text_list` gives line by line; any other is left to it.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from mae.cli.commands import to_install
from mae.data.lists.columns import OUTPUT, Header, read_header, table_header
from mae.data.lists.endings import ending
from mae.data.lists.lines import Line, line_of
from mae.errors import ConfigError, library_reason

PARQUET = ".parquet"
LARGE = 4 << 20  # bytes of a text that takes seconds line by line

_CHUNK = 1 << 24  # bytes
_USUAL = bytes(code for code in range(256) if code >= 32 or code in b"\t\n\r")  # readers differ in what others mean
_PLAIN = r"[^\s,;\"#]+"  # a path, or a label, that can be nothing else
_LABELLED = re.compile(rf"{_PLAIN}(?P<mark>[ ,;\t])[0-9]+")


@dataclass(frozen=True)
class Table:
    """What stands in a list, but for columns that mean nothing here."""

    header: Header
    columns: dict[str, Any]  # a `pyarrow.ChunkedArray` for each kind of column, see `Header.kinds`
    unit: str  # what is counted in the file: row | line
    first: int  # number of the first video in it

    def __len__(self) -> int:
        return len(self.columns["path"])

    def path(self, row: int) -> str:
        """Of the video in a row from 0, as it is written."""
        return _text(self.columns["path"][row].as_py())

    def bare_line(self, row: int) -> Line:
        """A row without what it says of its video."""
        return Line(self.first + row, self.path(row), None, None, has_columns=False, unit=self.unit)

    def line(self, row: int) -> Line:
        """A row; raises `ConfigError`, as of a line of text, for fields that are not what their columns say."""
        kinds = [kind for kind in self.columns if kind != "split" and not kind.startswith(OUTPUT)]
        fields = {kind: text_of(self.columns[kind][row].as_py()) for kind in kinds}
        return line_of(self.first + row, {**fields, "path": self.path(row)}, as_written=True, unit=self.unit)


def read_table(list_path: Path, exists: Callable[[str], bool], outputs: Sequence[str]) -> Table | None:
    """The table that a list is; None: a text to be read line by line.

    Args:
        exists, outputs: as of `mae.data.lists.columns.read_header`.

    Raises:
        ConfigError: a file that is no Parquet, columns that make no sense, or `pyarrow` is missing for it.
    """
    if ending(list_path.name) == PARQUET:
        return _parquet(list_path, outputs)
    return _regular_text(list_path, exists, outputs) if is_long(list_path) and has_arrow() else None


def is_long(list_path: Path) -> bool:
    """Whether a list is a text that takes seconds line by line."""
    return ending(list_path.name) != PARQUET and list_path.is_file() and list_path.stat().st_size >= LARGE


def has_arrow() -> bool:
    """Whether the library of the extra `large` is installed."""
    try:
        import_module("pyarrow")
    except ModuleNotFoundError:
        return False
    return True


def text_of(value: Any) -> str:
    """A field of a table as a text would have it; "" for none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return _text(value).strip()


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _parquet(list_path: Path, outputs: Sequence[str]) -> Table:
    if not has_arrow():
        raise ConfigError(
            f"{list_path}: lists of Parquet are read by pyarrow, which is not installed: {to_install('large')}"
        )
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(list_path, memory_map=True) as file:
            header = table_header(file.schema_arrow.names, outputs)
            wanted = _wanted(header)
            read = file.read(columns=[*wanted.values()])
        columns = {kind: _flat(read.column(name)) for kind, name in wanted.items()}
    except ConfigError as error:
        raise ConfigError(f"{list_path}: {error}") from error
    except OSError as error:
        reason = error.strerror or library_reason(error)
        raise ConfigError(f"the list {list_path} cannot be read ({reason})") from error
    except (pa.ArrowException, ValueError) as error:
        raise ConfigError(f"{list_path} is no Parquet that can be read ({library_reason(error)})") from error
    for kind, column in columns.items():
        is_text = pa.types.is_large_string(column.type)
        if not is_text and (kind == "path" or pa.types.is_nested(column.type) or not _is_number(column.type)):
            expected = "text" if kind == "path" else "text or numbers"
            raise ConfigError(f"{list_path}: the column {wanted[kind]!r} holds {column.type}; expected {expected}")
    return Table(header, columns, "row", 1)


def _wanted(header: Header) -> dict[str, str]:
    """The name of the column of each kind."""
    return {kind: name for kind, name in zip(header.kinds, header.names, strict=True) if kind}


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _flat(column: Any) -> Any:
    """A column whose texts are all of one type, and lists of labels one text, `walk;run`."""
    import pyarrow as pa
    from pyarrow import compute, types

    text = pa.large_string()
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_binary(column.type) or types.is_large_binary(column.type):  # text of writers that do not say so
        column = column.cast(pa.large_binary()).cast(text)
    if types.is_list(column.type) or types.is_large_list(column.type):
        return compute.binary_join(column.cast(pa.large_list(text)), pa.scalar(";", text))
    is_text = types.is_string(column.type) or types.is_string_view(column.type) or types.is_null(column.type)
    return column.cast(text) if is_text else column


class _Seen(NamedTuple):
    """What a look at the bytes of a text says of its lines below the header."""

    lines: int
    has_quotes: bool


def _regular_text(list_path: Path, exists: Callable[[str], bool], outputs: Sequence[str]) -> Table | None:
    """The table that a text is; None where lines differ in more than their fields."""
    beginning = _beginning(list_path)
    if beginning is None:
        return None
    above, first = beginning
    header = read_header(first, exists, outputs)
    if header is not None:
        above += 1
    elif not outputs:
        return _without_header(list_path, above, first)
    if header is None or header.delimiter is None:
        return None
    seen = _seen(list_path, above, header.delimiter)
    columns = None if seen is None else _columns(list_path, above, header, seen)
    return None if columns is None else Table(header, columns, "line", above + 1)


def _without_header(list_path: Path, above: int, first: str) -> Table | None:
    """Of lines that are a path, or a path and a number, and can be nothing else."""
    if match := _LABELLED.fullmatch(first):
        header = Header(match["mark"], ("path", "label"), ("path", "label"))
    elif re.fullmatch(_PLAIN, first):
        header = Header("\t", ("path",), ("path",))
    else:
        return None
    seen = _seen(list_path, above, str(header.delimiter))
    columns = None if seen is None or seen.has_quotes else _columns(list_path, above, header, seen)
    if columns is None:
        return None
    from pyarrow import compute

    forms = {"path": rf"^{_PLAIN}$", "label": "^[0-9]+$"}
    is_plain = all(compute.all(compute.match_substring_regex(columns[kind], forms[kind])).as_py() for kind in columns)
    return Table(header, columns, "line", above + 1) if is_plain else None


def _beginning(list_path: Path) -> tuple[int, str] | None:
    """The first line that counts, and how many there are above it; None where there is none in the first megabyte."""
    with list_path.open("rb") as file:
        lines = file.read(1 << 20).removeprefix(b"\xef\xbb\xbf").split(b"\n")[:-1]
    for above, line in enumerate(lines):
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError:
            return None
        if text and not text.startswith("#"):
            return above, text
    return None


def _seen(list_path: Path, above: int, delimiter: str) -> _Seen | None:
    """Looks at the lines below some; None where they are not told from each other by bytes alone."""
    mark = re.escape(delimiter.encode())
    quoted = re.compile(rb"(?<=[\n" + mark + rb'])"[^"\r\n]*"(?=[\r\n' + mark + rb"]|\Z)")
    lines, has_quotes, last = 0, False, b"\n"
    with list_path.open("rb") as file:
        for _ in range(above):
            file.readline()
        while chunk := file.read(_CHUNK):
            chunk += file.readline()
            quotes = chunk.count(b'"')
            if quotes and quotes != 2 * sum(1 for _ in quoted.finditer(b"\n" + chunk)):
                return None
            if chunk.translate(None, _USUAL) or _has_comment(chunk) or chunk.count(b"\r") != chunk.count(b"\r\n"):
                return None
            lines, has_quotes, last = lines + chunk.count(b"\n"), has_quotes or quotes > 0, chunk[-1:]
    return _Seen(lines + (last != b"\n"), has_quotes)


def _has_comment(chunk: bytes) -> bool:
    return b"#" in chunk and re.search(rb"^[ \t]*#", chunk, re.MULTILINE) is not None


def _columns(list_path: Path, above: int, header: Header, seen: _Seen) -> dict[str, Any] | None:
    """The columns by their kinds; None where a line has not as many as the header, or no path."""
    import pyarrow as pa
    from pyarrow import compute, csv

    names = [*map(str, range(len(header.kinds)))]
    wanted = {kind: name for kind, name in zip(header.kinds, names, strict=True) if kind}
    try:
        read = csv.read_csv(
            list_path,
            csv.ReadOptions(column_names=names, skip_rows=above, block_size=_CHUNK),
            csv.ParseOptions(delimiter=header.delimiter, quote_char='"', double_quote=True, ignore_empty_lines=True),
            csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()),
                include_columns=[*wanted.values()],
                strings_can_be_null=False,
            ),
        )
    except (OSError, pa.ArrowException, ValueError):
        return None
    columns = {kind: compute.utf8_trim_whitespace(read.column(name)) for kind, name in wanted.items()}
    path = columns["path"]
    keeps_blanks = seen.has_quotes and not path.equals(read.column(wanted["path"]))
    if len(path) != seen.lines or not len(path) or keeps_blanks or compute.any(compute.equal(path, "")).as_py():
        return None
    return columns
