"""The grammar of a text list: one line to a path, a label, a segment and a frame stride.

    path
    path label
    path label start end
    path label,,              the whole video, in a list of segments

A comma or blanks separate the fields. What stands before the recognised fields is the path, so that it may hold both;
it may stand in double quotes, with a quote in it doubled. Without a header, start and end are recognised behind an
integer label and a path that ends in double quotes or in the extension of a video file; frames of a directory have no
clock. A header that names `start` and `end`, or `stride`, says which columns every line has, in its order:

    path,label,start,end      path,start,end      path,stride      path,label,start,end,stride

Under it, an empty field between commas means none.
"""

import math
import re
from functools import lru_cache
from typing import NamedTuple

from mae.data.lists.folder import VIDEO_EXTENSIONS
from mae.data.lists.video_index import Segment
from mae.errors import ConfigError

_BETWEEN = r"\s*[,\s]\s*"
_INTEGER = r"[+-]?[0-9]+"
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_FILE = rf"(?:\".*\"|.*?\.(?:{'|'.join(extension[1:] for extension in VIDEO_EXTENSIONS)}))"

# Everything before the last comma or blank is the path, so paths may hold both.
_LABELLED = re.compile(rf"(?P<path>.*?\S){_BETWEEN}(?P<label>{_INTEGER})")
_CUT = re.compile(
    rf"(?P<path>{_FILE}){_BETWEEN}(?P<label>{_INTEGER})"
    rf"(?:{_BETWEEN}(?P<start>{_NUMBER}){_BETWEEN}(?P<end>{_NUMBER})|\s*,\s*,)",
    re.IGNORECASE,
)
_FILE_AND_NUMBERS = re.compile(rf"{_FILE}(?:{_BETWEEN}{_NUMBER}){{2,}}", re.IGNORECASE)


class Line(NamedTuple):
    """One video of a list."""

    number: int  # in the file, from 1
    path: str
    label: int | None
    segment: Segment | None  # seconds
    has_columns: bool  # whether it says start and end, be it that they are empty
    stride: int | None = None  # source frames between two frames of a clip; None: as in all of the data set


def header_columns(text: str) -> tuple[str, ...] | None:
    """The columns after the path where a header names `start` and `end`, or `stride`; None for `path label` and such.

    Raises:
        ConfigError: columns that make no sense.
    """
    between = r"\s*,\s*" if "," in text else r"\s+"
    _, *columns = [word.strip('"').lower() for word in re.split(between, text)]
    others = [name for name in columns if name not in ("start", "end", "stride")]
    if len(columns) == len(others) and (len(others) < 2 or "," not in text):
        return None
    known = sorted(name for name in columns if name not in others)
    if len(others) > 1 or known not in (["end", "start"], ["stride"], ["end", "start", "stride"]):
        raise ConfigError(
            f"the header {text!r} has other columns than expected: path, then optionally label, start and end "
            "(both, in seconds) and stride"
        )
    return tuple("label" if name in others else name for name in columns)


def parse_line(number: int, text: str, columns: tuple[str, ...] | None) -> Line:
    """One line, stripped; `columns` are those of `header_columns`.

    Raises:
        ConfigError: numbers that are neither a label nor a segment, a segment or a stride that is none, a line without
            the columns.
    """
    if columns is not None:
        match = _columns_pattern(columns).fullmatch(text)
        if match is None:
            raise ConfigError(
                f"line {number}: {text!r} has not the columns path,{','.join(columns)} of the header; write an "
                f"empty field for none: path{',' * len(columns)}"
            )
    else:
        match = _CUT.fullmatch(text) or _LABELLED.fullmatch(text)
        is_negative = match is not None and match["label"].startswith("-")
        if (match is None or match.re is _LABELLED) and not is_negative and _FILE_AND_NUMBERS.fullmatch(text):
            raise ConfigError(
                f"line {number}: {text!r} has numbers that are neither `path label` nor `path label start end`; "
                "segments without labels need the header path,start,end"
            )
    fields = {} if match is None else match.groupdict()
    path = fields.get("path") or text
    if len(path) > 1 and path[0] == path[-1] == '"':
        path = path[1:-1].replace('""', '"')
    if not path:
        raise ConfigError(f"line {number}: {text!r} has no path")
    label = fields.get("label")
    segment = _segment(number, path, fields.get("start"), fields.get("end"))
    has_columns = match is not None and match.re is not _LABELLED
    stride = _stride(number, path, fields.get("stride"))
    return Line(number, path, None if label is None else int(label), segment, has_columns, stride)


@lru_cache
def _columns_pattern(columns: tuple[str, ...]) -> re.Pattern[str]:
    kinds = {name: _INTEGER if name == "label" else _NUMBER for name in columns}
    tail = [rf"(?:{_BETWEEN}(?P<{name}>{kind})|\s*,)" for name, kind in kinds.items()]
    return re.compile(r"(?P<path>.*?\S)" + "".join(tail))


def _segment(number: int, path: str, start: str | None, end: str | None) -> Segment | None:
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise ConfigError(f"line {number}: {path!r} has a start or an end only; give both in seconds, or neither")
    segment = float(start), float(end)
    if not 0 <= segment[0] < segment[1] or math.isinf(segment[1]):
        raise ConfigError(
            f"line {number}: start {start} and end {end} of {path!r} are no segment; "
            "expected 0 <= start < end, in seconds"
        )
    return segment


def _stride(number: int, path: str, stride: str | None) -> int | None:
    if stride is None:
        return None
    if not stride.isdigit() or int(stride) < 1:
        raise ConfigError(
            f"line {number}: stride {stride} of {path!r} is none: expected a whole number of frames from 1 on, or an "
            "empty field for dataset.frame_stride"
        )
    return int(stride)
