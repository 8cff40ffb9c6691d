"""From the table of a list to its videos, by what `mae.data.lists.labels` and `mae.data.lists.outputs` say of lines.

They are asked of one row for each different field, not of all: of ten million rows there are a few hundred classes.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mae.data.lists.column import Coded, Column, Numbers, Paths, Rows
from mae.data.lists.columns import OUTPUT, check_one_split
from mae.data.lists.labels import no_group, numbered_labels
from mae.data.lists.lines import Label, Line, class_label
from mae.data.lists.outputs import label_columns, label_sets, numbers
from mae.data.lists.places import Place, plain
from mae.data.lists.tables import Table, text_of
from mae.data.lists.video_index import Segment, VideoIndex, list_digest
from mae.data.lists.wanted import VALUE, Wanted, names_of_numbers
from mae.data.remote.address import ADDRESS, is_remote
from mae.errors import ConfigError
from mae.options import MULTILABEL, REGRESSION

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NOT_PLAIN = r"^~|//|(^|/)\.(/|$)|/$"  # what `mae.data.lists.places.plain` may change
_AT_ONCE = 1 << 18  # rows


class _Fields(NamedTuple):
    """The different fields of a column."""

    lines: list[Line]  # the first row of each, in the order of the table, without what it says
    texts: list[str]
    codes: np.ndarray  # (n,) which of them each row has


def index_table(
    table: Table, base: Place, names: tuple[str, ...] | None, source: str | Path, wanted: Wanted
) -> VideoIndex:
    """The videos of a table, in its order, in columns; see `mae.data.lists.text_list.index_csv`.

    Args:
        base: what relative paths are relative to.
        names: of the classes by number, where a file names them; None: there is none.
        source: that file.
        wanted: what is learnt.

    Raises:
        ConfigError: as there; the message names the row.
    """
    if not len(table):
        raise ConfigError("lists no video; expected a path on every row")
    paths = Paths(str(base), _plain_paths(table, base))
    segments, strides = _segments(table), _strides(table)
    _check_splits(table)
    learnt = _learnt(table, names, source, wanted)
    notes = (("columns not used", ", ".join(table.header.unused)),) if table.header.unused else ()
    index = VideoIndex(paths, None, None, "", segments, strides, notes=notes, groups=_groups(table))
    index = replace(index, **learnt)
    return replace(index, digest=_digest(paths, index))


def _learnt(table: Table, names: tuple[str, ...] | None, source: str | Path, wanted: Wanted) -> dict[str, Any]:
    """The fields of a `VideoIndex` that say what is learnt."""
    if wanted.task == REGRESSION:
        called = wanted.columns or (table.header.label or VALUE,)
        targets = _numbers(table, called, bool(wanted.columns))
        told = names_of_numbers(targets, wanted.columns or (table.header.label,))
        return {"targets": targets, "class_names": told}
    if wanted.task == MULTILABEL and wanted.columns:
        sets = _sets_of_columns(table, wanted.columns)
        return {"label_sets": sets, "class_names": wanted.columns, "is_numbered_by_name": True}
    kind = f"{OUTPUT}0" if wanted.columns else "label"
    if kind not in table.columns:
        return {"class_names": names}
    fields = _fields(table, kind)
    if wanted.task == MULTILABEL:
        found, known, by_name = label_sets(_labelled(fields, lambda _, text: text or None), names, source)
        columns: Column[Any] | None = None if found is None else Coded(found, fields.codes)
        return {"label_sets": columns, "class_names": known, "is_numbered_by_name": by_name}
    lines = _labelled(fields, lambda line, text: class_label(line.where, line.path, text))
    labels, known, by_name = numbered_labels(lines, names, source)
    columns = None if labels is None else Numbers(np.array(labels, np.int32)[fields.codes])
    return {"labels": columns, "class_names": known, "is_numbered_by_name": by_name}


def _labelled(fields: _Fields, label: Callable[[Line, str], Label | None]) -> list[Line]:
    """The first row of each field, with what the field says as its label."""
    return [line._replace(label=label(line, text)) for line, text in zip(fields.lines, fields.texts, strict=True)]


def _fields(table: Table, kind: str) -> _Fields:
    """The different fields of a column, in the order of their first rows."""
    import pyarrow as pa

    column = table.columns[kind]
    if column.null_count:
        column = column.cast(pa.large_string()).fill_null("")
    encoded = column.dictionary_encode().unify_dictionaries()
    written = [text_of(value) for value in encoded.chunk(0).dictionary.to_pylist()]
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    first = np.empty(len(written), np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # of equals, the last one that is written stays
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    lines = [table.bare_line(row) for row in first[order].tolist()]
    return _Fields(lines, [written[code] for code in order.tolist()], place[codes].astype(np.int32))


def _plain_paths(table: Table, base: Place) -> Any:
    """The paths as `mae.data.lists.column.Paths` takes them; raises `ConfigError` for a row without one."""
    import pyarrow as pa
    from pyarrow import compute

    paths = table.columns["path"]
    if paths.null_count or compute.any(compute.equal(paths, "")).as_py():
        row = compute.index(compute.fill_null(paths, ""), "").as_py()
        raise ConfigError(f"{table.bare_line(row).where} has no path")
    if is_remote(str(base)):
        return paths
    changed = []
    for chunk in paths.chunks:
        odd = compute.and_not(
            compute.match_substring_regex(chunk, _NOT_PLAIN), compute.match_substring_regex(chunk, f"^(?:{ADDRESS})")
        )
        if compute.any(odd).as_py():
            texts = chunk.to_pylist()
            for row in np.flatnonzero(odd.to_numpy(zero_copy_only=False)).tolist():
                texts[row] = plain(base, texts[row])
            chunk = pa.array(texts, chunk.type)
        changed.append(chunk)
    return pa.chunked_array(changed)


def _segments(table: Table) -> Column[Segment | None] | None:
    """Start and end of each video; raises `ConfigError` for a row whose fields are none."""
    if "start" not in table.columns:
        return None
    told = [_as_floats(table.columns[kind]) for kind in ("start", "end")]
    for kind, column in zip(("start", "end"), told, strict=True):
        if column is None:
            for line in _fields(table, kind).lines:
                table.line(line.number - table.first)
    start, end = (column for column in told if column is not None)
    is_whole = np.isnan(start) & np.isnan(end)
    with np.errstate(invalid="ignore"):
        is_segment = (start >= 0) & (start < end) & np.isfinite(end)
    for row in np.flatnonzero(~is_whole & ~is_segment)[:1].tolist():
        table.line(row)
    return None if is_whole.all() else Rows(np.stack([start, end], axis=1))


def _strides(table: Table) -> Column[int | None] | None:
    """The stride of each video; raises `ConfigError` for a row whose field is none."""
    if "stride" not in table.columns:
        return None
    fields = _fields(table, "stride")
    strides = [table.line(line.number - table.first).stride for line in fields.lines]
    return Coded(strides, fields.codes) if any(strides) else None


def _check_splits(table: Table) -> None:
    if "split" in table.columns:
        fields = _fields(table, "split")
        check_one_split({text: line.where for line, text in zip(fields.lines, fields.texts, strict=True)}, table.header)


def _groups(table: Table) -> Column[str] | None:
    if "group" not in table.columns:
        return None
    fields = _fields(table, "group")
    if not any(fields.texts):
        return None
    if "" in fields.texts:
        raise no_group(fields.lines[fields.texts.index("")])
    return Coded(fields.texts, fields.codes)


def _numbers(table: Table, called: Sequence[str], has_columns: bool) -> Column[tuple[float, ...]] | None:
    """The numbers of each video; None where no row has any."""
    kinds = [f"{OUTPUT}{position}" for position in range(len(called))] if has_columns else ["label"]
    if not set(kinds) <= table.columns.keys():
        return None
    arrays = [_as_floats(table.columns[kind]) for kind in kinds]
    whole = [array for array in arrays if array is not None and not np.isnan(array).any()]
    if len(whole) == len(kinds):
        return Rows(np.stack(whole, axis=1))
    found = []
    for kind, name in zip(kinds, called, strict=True):
        fields = _fields(table, kind)
        if has_columns:
            lines = [line._replace(outputs=(text,)) for line, text in zip(fields.lines, fields.texts, strict=True)]
        else:
            lines = _labelled(fields, lambda _, text: text or None)
        told = numbers(lines, (name,))
        if told is None:
            return None
        found.append(np.array(told)[fields.codes])
    return Rows(np.concatenate(found, axis=1))


def _as_floats(column: Any) -> np.ndarray | None:
    """(n,) float64 of a column, not a number for an empty field; None where a field is something else."""
    import pyarrow as pa
    from pyarrow import compute, types

    if not types.is_large_string(column.type):
        return column.cast(pa.float64(), safe=False).to_numpy()
    column = compute.utf8_trim_whitespace(compute.fill_null(column, ""))
    is_one = compute.or_(compute.match_substring_regex(column, _NUMBER), compute.equal(column, ""))
    if not compute.all(is_one).as_py():
        return None
    # Not Arrow's own reading, which knows neither `+5` nor `5.`.
    return np.concatenate([
        np.array([float(text or "nan") for text in column.slice(first, _AT_ONCE).to_pylist()], np.float64)
        for first in range(0, len(column), _AT_ONCE)
    ])  # fmt: skip


def _sets_of_columns(table: Table, columns: Sequence[str]) -> Column[tuple[int, ...]]:
    """The labels of each video, which has a one in their columns."""
    codes, sets = np.zeros(len(table), np.int64), [()]
    for position, name in enumerate(columns):
        fields = _fields(table, f"{OUTPUT}{position}")
        lines = [line._replace(outputs=(text,)) for line, text in zip(fields.lines, fields.texts, strict=True)]
        has_label = np.array([bool(found) for found in label_columns(lines, (name,))])[fields.codes]
        kept, codes = np.unique(2 * codes + has_label, return_inverse=True)
        sets = [(*sets[code // 2], position) if code % 2 else sets[code // 2] for code in kept.tolist()]
    return Coded(sets, codes.astype(np.int32))


def _digest(paths: Paths, index: VideoIndex) -> str:
    """As `list_digest`; of labels alone without a Python object for each."""
    import pyarrow as pa
    from pyarrow import compute

    told, text = index.as_written, pa.large_string()
    prefix = os.path.join(paths.base, "")
    has_own = compute.any(compute.starts_with(paths.written, prefix)).as_py()
    is_plain = index.segments is None and index.strides is None and not has_own
    if not is_plain or not isinstance(told, Numbers | Coded | None):
        relative = (path.removeprefix(prefix).replace(os.sep, "/") for path in paths)
        return list_digest(relative, told, index.segments, index.strides)
    digest = hashlib.sha256()
    choices = pa.array([str(choice) for choice in told.choices], text) if isinstance(told, Coded) else None
    for first in range(0, len(paths), _AT_ONCE):
        written = paths.written.slice(first, _AT_ONCE).combine_chunks()
        if told is None:
            labels: Any = pa.scalar("", text)
        elif isinstance(told, Coded) and choices is not None:
            labels = choices.take(pa.array(told.codes[first : first + _AT_ONCE]))
        else:
            labels = pa.array(np.asarray(told)[first : first + _AT_ONCE]).cast(text)
        lines = compute.binary_join_element_wise(written, labels, pa.scalar("\t", text))
        lines = compute.binary_join_element_wise(lines, pa.scalar("", text), pa.scalar("\n", text))
        digest.update(_bytes(lines))
    return digest.hexdigest()


def _bytes(texts: Any) -> memoryview:
    """What an array of text that begins in its buffer holds, one after the other."""
    _, offsets, content = texts.buffers()
    begin, end = np.frombuffer(offsets, np.int64, len(texts) + 1)[[0, -1]].tolist()
    return memoryview(content)[begin:end]
