"""Lists with a header: a csv file whose first line says by name what each column is, in any order.

    path,label,start,end      label;path      path num_frames label      path,label,stride,caption

The names are those that people write, in any case; columns of other names are left alone. Commas, semicolons, tabs or
blanks separate the fields, whichever the header has. A field may stand in double quotes and then hold all of them and
line breaks. A path that is not quoted may hold the separator as well: the fields that a line has too many are its.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mae.data.lists.lines import Line, line_of, parse_line
from mae.errors import ConfigError, shown, unknown_name

# What a column is by what it is called, the likeliest name first.
_NAMES = {
    "path": (
        *("path", "video_path", "file_path", "filepath", "videopath", "video", "videos", "file", "filename"),
        *("file_name", "video_file", "video_name", "clip", "clip_path", "name", "video_id", "id"),
    ),
    "label": (
        *("label", "class", "label_id", "class_id", "class_index", "label_index", "target", "category", "action"),
        *("class_name", "label_name", "activity", "labels", "targets"),
    ),
    "start": ("start", "start_time", "time_start", "start_s", "start_sec", "t_start"),
    "end": ("end", "end_time", "time_end", "end_s", "end_sec", "t_end"),
    "stride": ("stride", "frame_stride"),
    "group": ("group", "group_id"),
    # One list is one part of a data set.
    "split": ("split", "subset", "partition"),
    # Known not to be a label.
    "": (
        *("num_frames", "frames", "n_frames", "nframes", "total_frames", "frame_count", "fps", "duration", "length"),
        *("width", "height", "caption", "text", "description", "title", "url", "index", ""),
    ),
}
_KNOWN = {name for names in _NAMES.values() for name in names}
OUTPUT = "output "  # begins the kind of a column that was asked for by its name, before its number among them


@dataclass(frozen=True)
class Header:
    """What the columns of a list are."""

    delimiter: str | None  # None: blanks
    kinds: tuple[str, ...]  # path, label, start, end, stride, split, group, `output 0` …; "": not used
    names: tuple[str, ...]  # as they are written

    @property
    def label(self) -> str | None:
        """What the column of labels is called; None: there is none."""
        return self.names[self.kinds.index("label")] if "label" in self.kinds else None

    @property
    def unused(self) -> tuple[str, ...]:
        """Columns that are left alone."""
        return tuple(name for name, kind in zip(self.names, self.kinds, strict=True) if not kind and name)


class Record(NamedTuple):
    """The fields of one video, in the order of the header."""

    number: int  # of its first line in the file, from 1
    last: int
    fields: list[str]


def read_header(text: str, exists: Callable[[str], bool], outputs: Sequence[str] = ()) -> Header | None:
    """What a list's first line says of its columns; None where it is a video like the others.

    Args:
        exists: whether there is a file of a name.
        outputs: names of columns that hold what is learnt, whatever else they might be.

    Raises:
        ConfigError: it is a header, and does not make sense, or has no such column.
    """
    delimiter = next((mark for mark in "\t;," if mark in text), None)
    words = [text] if delimiter is None else next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))
    words = text.split() if delimiter is None else [word.strip() for word in words]
    names = [_spelt(word) for word in words]
    wanted = [_spelt(name) for name in outputs]
    if not set(wanted) & set(names) and (
        re.search(r"[./\\]", text) or any(re.fullmatch(r"[+-]?[0-9]+", name) for name in names)
    ):
        return None
    if delimiter is None and not _KNOWN.issuperset({*names} - {*wanted}):  # a name with blanks in it
        return None
    kinds = _kinds(names, wanted)
    is_sure = sum(name in _KNOWN for name in names) > 1
    if exists(text) or (not is_sure and exists(words[0])) or not any(kinds):
        return None
    if "path" not in _with_path(names, kinds) and delimiter is None:
        return None
    return _header(text, words, delimiter, outputs)


def table_header(names: Sequence[str], outputs: Sequence[str] = ()) -> Header:
    """What the columns of a table are, whose names are no line of it; `outputs` and errors as of `read_header`."""
    return _header(",".join(names), names, None, outputs)


def check_one_split(splits: Mapping[str, str], header: Header) -> None:
    """Raises `ConfigError` where a list says of its videos that they are of several parts of a data set.

    Args:
        splits: of each part, where it is first named, as `line 2`; in that order.
    """
    if len(splits) > 1:
        (one, _), (other, where), *_ = splits.items()
        name = header.names[header.kinds.index("split")]
        raise ConfigError(
            f"{where}: the column {name!r} says {other!r} where earlier lines say {one!r}; one list is one part: "
            "make one of each and give them as dataset.train= and dataset.val="
        )


def _header(text: str, words: Sequence[str], delimiter: str | None, outputs: Sequence[str]) -> Header:
    names, wanted = [*map(_spelt, words)], [*map(_spelt, outputs)]
    kinds = _with_path(names, _kinds(names, wanted))
    _check(text, names, kinds)
    for asked, name in zip(outputs, wanted, strict=True):
        if name not in names:
            raise unknown_name(f"the header {text!r} has other columns than dataset.targets: the column", asked, words)
    return Header(delimiter, tuple(kinds), tuple(words))


def _with_path(names: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """What each column is, where a first one of an unknown name can only be the path: `footage,label`."""
    is_so = list(kinds) == ["", "label"] and names[0] not in _KNOWN
    return ["path", "label"] if is_so else list(kinds)


def read_records(header: Header, lines: Sequence[str], first: int) -> Iterator[Record]:
    """The videos below a header; blank lines and lines that begin with `#` are skipped.

    Args:
        lines: of the file, below the header.
        first: number of the first of them.

    Raises:
        ConfigError: too few or too many fields, or a quote that does not end.
    """
    if header.delimiter is None:
        for number, line in enumerate(lines, start=first):
            if _counts(line):
                yield Record(number, number, _split_at_blanks(header, number, line.strip()))
        return
    kept = [f"{line}\n" if _counts(line) else "\n" for line in lines]
    # Blanks behind a comma are left out, or a quote there would be a part of the field.
    reader = csv.reader(kept, delimiter=header.delimiter, skipinitialspace=True, strict=True)
    end = 0
    while True:
        start = end
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise ConfigError(
                f"line {first + start}: {shown(kept[start].strip())} is no line of a csv file ({error})"
            ) from error
        if fields is None:
            return
        end = reader.line_num
        if any(field.strip() for field in fields):
            if len(fields) != len(header.kinds):
                fields = _fitted(header, first + start, kept[start:end])
            is_quoted = any('"' in line for line in kept[start:end])
            yield Record(first + start, first + end - 1, fields if is_quoted else [field.strip() for field in fields])


def lines_below(header: Header, lines: Sequence[str], first: int, as_written: bool = False) -> list[Line]:
    """The videos of `read_records`.

    Args:
        as_written: see `mae.data.lists.lines.line_of`.

    Raises:
        ConfigError: as there; a field that is not what its column says; videos of several splits.
    """
    if header.delimiter is None and header.kinds == ("path", "label"):
        # As without it: a name of several words is not told from a path by counting.
        counted = [(number, line.strip()) for number, line in enumerate(lines, start=first) if _counts(line)]
        return [parse_line(number, text, as_written=as_written) for number, text in counted]
    outputs = [kind for kind in header.kinds if kind.startswith(OUTPUT)]
    found: list[Line] = []
    splits: dict[str, str] = {}
    for number, last, fields in read_records(header, lines, first):
        kinds = header.kinds
        if kinds == ("path", "label") and len(fields) == 4:
            kinds = ("path", "label", "start", "end")
        # Blanks around a path may be its own, in quotes.
        named = {kind: field if kind == "path" else field.strip() for kind, field in zip(kinds, fields, strict=True)}
        named.pop("", None)
        splits.setdefault(named.pop("split", ""), f"line {number}")
        asked = tuple(named.pop(f"{OUTPUT}{position}") for position in range(len(outputs)))
        found.append(line_of(number, named, last, as_written)._replace(outputs=asked or None))
    check_one_split(splits, header)
    return found


def _spelt(name: str) -> str:
    """The name of a column without what may be written in several ways."""
    return re.sub(r"[\s-]+", "_", name.strip('"').casefold())


def _kinds(names: Sequence[str], outputs: Sequence[str]) -> list[str]:
    """What each column is; of several that may be the same, the likeliest is, of those that are not among `outputs`."""
    kinds = [f"{OUTPUT}{outputs.index(name)}" if name in outputs else "" for name in names]
    for kind, known in _NAMES.items():
        if kind and (called := next((name for name in known if name in names and name not in outputs), None)):
            kinds[names.index(called)] = kind
    if outputs:
        return kinds
    others = [index for index, name in enumerate(names) if name not in _KNOWN]
    if "label" not in kinds and "path" in kinds and len(others) == 1:
        kinds[others[0]] = "label"  # `path,emotion`
    return kinds


def _check(text: str, names: Sequence[str], kinds: Sequence[str]) -> None:
    if "path" not in kinds:
        raise ConfigError(f"the header {text!r} names no column of paths; call it path (or video, or file)")
    if ("start" in kinds) != ("end" in kinds):
        raise ConfigError(f"the header {text!r} has a start or an end only; give both in seconds, or neither")
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise ConfigError(f"the header {text!r} has two columns {twice!r}")


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _split_at_blanks(header: Header, number: int, text: str) -> list[str]:
    """What is too much is the path's, which has to be the first or the last column for it."""
    more = len(header.kinds) - 1
    fields = text.split(None, more) if header.kinds[-1] == "path" else text.rsplit(None, more)
    if text.startswith('"') and header.kinds[0] == "path" and (match := re.fullmatch(r'"((?:[^"]|"")*)"(.*)', text)):
        fields = [match[1].replace('""', '"'), *match[2].split()]
    if len(fields) != len(header.kinds):
        raise _unfit(header, number, text)
    return fields


def _fitted(header: Header, number: int, lines: Sequence[str]) -> list[str]:
    """The fields of a line that has not as many as the header.

    Raises:
        ConfigError: they do not fit.
    """
    count, place = len(header.kinds), header.kinds.index("path")
    # With all blanks, as the path has them.
    (fields,) = csv.reader(lines, delimiter=header.delimiter or ",", strict=True)
    text = "".join(lines).strip()
    while len(fields) > count and not fields[-1].strip() and header.kinds != ("path", "label"):
        fields.pop()  # a spreadsheet had wider rows elsewhere
    if header.kinds == ("path", "label") and len(fields) == 4 and all(map(_is_time, fields[1:])):
        return fields  # path,label,start,end
    if len(fields) < count and (by_blanks := _numbers_behind_blanks(header, text)):
        return by_blanks
    if len(fields) < count:
        raise _unfit(header, number, text)
    more = len(fields) - count
    path = (header.delimiter or " ").join(fields[place : place + more + 1])
    return [*fields[:place], path, *fields[place + more + 1 :]]


def _is_time(text: str) -> bool:
    return re.fullmatch(r"\s*[+-]?[0-9.]*(?:[eE][+-]?[0-9]+)?\s*", text) is not None


def _numbers_behind_blanks(header: Header, text: str) -> list[str] | None:
    """The fields of `a.mp4 1` under the header `path,label`; None where that is no path with numbers behind it."""
    fields = text.rsplit(None, len(header.kinds) - 1)
    is_so = header.kinds[0] == "path" and len(fields) == len(header.kinds) and all(map(_is_time, fields[1:]))
    return fields if is_so else None


def _unfit(header: Header, number: int, text: str) -> ConfigError:
    columns = (header.delimiter or " ").join(header.names)
    return ConfigError(
        f"line {number}: {shown(text)} has not the columns {columns} of the header; write an empty field for none: "
        f"{header.names[0]}{',' * (len(header.names) - 1)}"
    )
