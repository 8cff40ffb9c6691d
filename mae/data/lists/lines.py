"""The grammar of a text list without a header: one line to a path, a label and a segment.

    path
    path label
    path label start end
    path label,,              the whole video, in a list of segments

A comma, a semicolon or blanks separate the fields. What stands before the recognised fields is the path, so that it may
hold all of them. A field may stand in double quotes, with a quote in it doubled, as in any csv file. A label is a
whole number, also as `1.0`, or a name. A name is recognised behind a path that stands in quotes or ends as a video
does; start and end are, behind such a path and a label. Several labels, and numbers, are left as they are written: what
they are is `mae.data.lists.outputs`'s. Lists with a header are `mae.data.lists.columns`'s.
"""

import csv
import math
import re
from typing import NamedTuple

from mae.data.lists.endings import VIDEO_EXTENSIONS, is_video_name
from mae.data.lists.video_index import Segment
from mae.errors import ConfigError

Label = int | str  # a number, or a name

_BETWEEN = r"\s*[,;\s]\s*"
_INTEGER = r"[+-]?[0-9]+(?:\.0*)?"  # 1.0: what tables make of whole numbers where one is missing
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_FILE = rf"(?:\".*\"|.*?\.(?:{'|'.join(extension[1:] for extension in VIDEO_EXTENSIONS)}))"

# Everything before the last comma or blank is the path, so paths may hold both.
_LABELLED = re.compile(rf"(?P<path>.*?\S){_BETWEEN}(?P<label>{_INTEGER})")
_CUT = re.compile(
    rf"(?P<path>{_FILE}){_BETWEEN}(?P<label>{_INTEGER})"
    rf"(?:{_BETWEEN}(?P<start>{_NUMBER}){_BETWEEN}(?P<end>{_NUMBER})|\s*[,;]\s*[,;])",
    re.IGNORECASE,
)
_NAMED = re.compile(rf"(?P<path>{_FILE}){_BETWEEN}(?P<label>[^,;\t/\\\"]*[^,;\s/\\\"])", re.IGNORECASE)
_NAMED_DIRECTORY = re.compile(r"(?P<path>.*\S)\s*[,;\t]\s*(?P<label>[^,;\t/\\]*[^,;\s/\\])")
_FILE_AND_NUMBERS = re.compile(rf"{_FILE}(?:{_BETWEEN}{_NUMBER}){{2,}}", re.IGNORECASE)
_FILE_AND_FIELDS = re.compile(rf"{_FILE}\s*[,;].*[,;].*", re.IGNORECASE)
_WRITTEN = re.compile(rf"(?P<path>{_FILE}){_BETWEEN}(?P<label>[^,\s/\\\"]+)", re.IGNORECASE)  # also `a;b;c` and 0.5


class Line(NamedTuple):
    """One video of a list."""

    number: int  # in the file, from 1
    path: str
    label: Label | None
    segment: Segment | None  # seconds
    has_columns: bool  # whether it says start and end, be it that they are empty
    stride: int | None = None  # source frames between two frames of a clip; None: as in all of the data set
    last: int = 0  # in the file: of its last line, as a field in quotes may hold line breaks; 0: `number`
    group: str | None = None  # videos of one are not to be divided between lists
    outputs: tuple[str, ...] | None = None  # fields of the columns that hold what is learnt, instead of a label
    unit: str = "line"  # what `number` counts: row, in a table

    @property
    def where(self) -> str:
        """What a message calls it."""
        return f"{self.unit} {self.number}"

    @property
    def numbers(self) -> range:
        """All lines of the file that it takes."""
        return range(self.number, max(self.last, self.number) + 1)


def parse_line(number: int, text: str, names_directories: bool = False, as_written: bool = False) -> Line:
    """One line, stripped.

    Args:
        names_directories: whether a name behind a comma is a label also where the path does not end as a video does.
        as_written: whether a label is left as it stands, be it several labels or a number, as `line_of` has it.

    Raises:
        ConfigError: fields that are neither a label nor a segment, or that may be either.
    """
    if (fields := _csv_fields(text)) is not None:
        return line_of(number, fields, as_written=as_written)
    if as_written and (match := _WRITTEN.fullmatch(text)):
        if _CUT.fullmatch(text):
            raise ConfigError(
                f"line {number}: {text!r} may be several labels, or one with a start and an end; a header says what "
                "they are, as path,label"
            )
        return line_of(number, {"path": _unquoted(match["path"]), "label": match["label"]}, as_written=True)
    match = _CUT.fullmatch(text) or _LABELLED.fullmatch(text)
    is_negative = match is not None and match["label"].startswith("-")
    if (match is None or match.re is _LABELLED) and not is_negative and _FILE_AND_NUMBERS.fullmatch(text):
        raise ConfigError(
            f"line {number}: {text!r} has numbers that are neither `path label` nor `path label start end`; a header "
            "says what they are, as path,start,end or path,num_frames,label"
        )
    if match is None:
        match = _named(text, names_directories)
        if match is None and _FILE_AND_FIELDS.fullmatch(text) and not is_video_name(text):
            raise ConfigError(
                f"line {number}: {text!r} has fields that are neither `path,label` nor `path,label,start,end`; "
                "a header says what they are, as path,label,caption"
            )
    if match is None:
        return line_of(number, {"path": _unquoted(text)})
    found = {name: value or "" for name, value in match.groupdict().items()}
    return line_of(number, {**found, "path": _unquoted(found["path"])}, as_written=as_written)


def line_of(number: int, fields: dict[str, str], last: int = 0, as_written: bool = False, unit: str = "line") -> Line:
    """The line of named fields: path, label, start, end, stride, group; all but the first may be missing or empty.

    Args:
        as_written: whether the label is left as it stands: text, also where it is a number.
        unit: what `number` counts.

    Raises:
        ConfigError: a field that is not what its name says; the message names it.
    """
    path, where = fields["path"], f"{unit} {number}"
    if not path:
        raise ConfigError(f"{where} has no path")
    written = fields.get("label", "")
    label = written or None if as_written else class_label(where, path, written)
    segment = _segment(where, path, fields.get("start", ""), fields.get("end", ""))
    stride = _stride(where, path, fields.get("stride", ""))
    return Line(number, path, label, segment, "start" in fields, stride, last, fields.get("group"), unit=unit)


def _csv_fields(text: str) -> dict[str, str] | None:
    """The fields of a line that quotes its path or its label, as csv files have it; None for any other line."""
    if not re.search(r'^"|[,;\t]\s*"', text):
        return None
    for delimiter in ",;\t":
        try:
            (fields,) = csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True)
        except csv.Error:
            continue
        values = [field.strip() if index else field for index, field in enumerate(fields)]
        names = ("path", "label", "start", "end")[: len(values)]
        if len(values) in (2, 4) and _is_label(values[1]) and all(_is_number(value) for value in values[2:]):
            return dict(zip(names, values, strict=True))
    return None


def _is_label(text: str) -> bool:
    return bool(text) and not re.search(r"[/\\]", text) and not is_video_name(text)


def _is_number(text: str) -> bool:
    return not text or re.fullmatch(_NUMBER, text) is not None


def _named(text: str, names_directories: bool) -> re.Match[str] | None:
    """A path and the name of a class behind it."""
    match = _NAMED.fullmatch(text) or (_NAMED_DIRECTORY.fullmatch(text) if names_directories else None)
    # What ends as a video does is one video with blanks or commas in its name.
    return match if match is not None and _is_label(match["label"]) else None


def _unquoted(path: str) -> str:
    if len(path) > 1 and path[0] == path[-1] == '"':
        return path[1:-1].replace('""', '"')
    return path


def class_label(where: str, path: str, text: str) -> Label | None:
    """The class that a field says: a number, or a name; None for an empty one.

    Args:
        where: what a message calls the line, as `line 3`.

    Raises:
        ConfigError: a number that is none of a class; the message names the line and the path.
    """
    if re.fullmatch(_INTEGER, text):
        return int(text.split(".")[0])
    if re.fullmatch(_NUMBER, text) or text.casefold() in ("nan", "<na>"):  # what tables write for nothing
        raise ConfigError(f"{where}: label {text} of {path!r} is neither the number of a class nor the name of one")
    return text or None


def _segment(where: str, path: str, start: str, end: str) -> Segment | None:
    if not start and not end:
        return None
    if not start or not end:
        raise ConfigError(f"{where}: {path!r} has a start or an end only; give both in seconds, or neither")
    for name, text in (("start", start), ("end", end)):
        if not re.fullmatch(_NUMBER, text):
            raise ConfigError(f"{where}: {name} {text} of {path!r} is no number of seconds")
    segment = float(start), float(end)
    if not 0 <= segment[0] < segment[1] or math.isinf(segment[1]):
        raise ConfigError(
            f"{where}: start {start} and end {end} of {path!r} are no segment; expected 0 <= start < end, in seconds"
        )
    return segment


def _stride(where: str, path: str, stride: str) -> int | None:
    if not stride:
        return None
    if not re.fullmatch(r"[0-9]+(\.0*)?", stride) or float(stride) < 1:
        raise ConfigError(
            f"{where}: stride {stride} of {path!r} is none: expected a whole number of frames from 1 on, or an "
            "empty field for dataset.frame_stride"
        )
    return int(stride.split(".")[0])
