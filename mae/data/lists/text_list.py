"""Text lists: one video a line, with or without label, segment and stride; `mae.data.lists.lines` has the grammar."""

import os
import re
from pathlib import Path

from mae.data.lists.class_names import CLASSES_FILE, read_class_names
from mae.data.lists.lines import Line, header_columns, parse_line
from mae.data.lists.places import absolute, existing_directory
from mae.data.lists.video_index import Segment, VideoIndex, list_digest
from mae.errors import ConfigError
from mae.files import read_utf8

LARGEST_CREDIBLE_LABEL = 10**6  # larger ones are sizes, times or identifiers


def index_csv(list_path: str | Path, root: str | Path | None, classes: str | Path | None = None) -> VideoIndex:
    """The videos of a text list, in its order: one `path`, `path label` or `path label start end` a line.

    A comma or a blank separates them; a line whose last word is not an integer has no label. Start and end are
    seconds. Where a header says so, a line has a frame stride, too. Blank lines, lines that begin with `#` and a header
    are skipped; a path may stand in double quotes. Relative paths are relative to `root`, or to the list's own
    directory. Whether the files exist is for `check_files` to say.

    Args:
        list_path: the list.
        root: what its paths are relative to.
        classes: a file of class names, one a line; None: `classes.txt` beside the list, if there is one.

    Raises:
        ConfigError: no such file or root, no line in the list, labels or segments on some lines only, a label
            without a class name.
    """
    list_path = absolute(list_path)
    base = list_path.parent if root is None else existing_directory(root)
    lines = _parsed(list_path, _content_lines(list_path), base)
    labels = _all_or_no_labels(list_path, lines)
    class_names = _class_names(list_path, classes)
    if labels is not None and class_names is not None:
        _check_range(list_path, lines, class_names, list_path.parent / CLASSES_FILE if classes is None else classes)
    segments = _all_or_no_segments(list_path, lines)
    paths = tuple(str(base / os.path.expanduser(line.path)) for line in lines)
    prefix = os.path.join(base, "")
    relative = [path.removeprefix(prefix).replace(os.sep, "/") for path in paths]
    strides = tuple(line.stride for line in lines) if any(line.stride for line in lines) else None
    digest = list_digest(relative, labels, segments, strides)
    return VideoIndex(paths, labels, class_names, digest, segments, strides)


def _content_lines(list_path: Path) -> list[tuple[int, str]]:
    text = read_utf8(list_path, "the list ")
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _parsed(list_path: Path, texts: list[tuple[int, str]], base: Path) -> list[Line]:
    columns = None
    try:
        if len(texts) > 1 and _is_header(*texts[0], base):
            columns = header_columns(texts[0][1])
            texts = texts[1:]
        lines = [parse_line(number, text, columns) for number, text in texts]
    except ConfigError as error:
        raise ConfigError(f"{list_path} {error}") from error
    if not lines:
        raise ConfigError(f"{list_path} lists no video; expected one `path` or `path label` a line")
    return lines


def _is_header(number: int, text: str, base: Path) -> bool:
    """Whether the first line holds column names: words without a dot or slash, no label, and no such file."""
    if re.search(r"[./\\]", text):
        return False
    first = parse_line(number, text, None)
    return first.label is None and not os.path.exists(base / first.path)


def _all_or_no_labels(list_path: Path, lines: list[Line]) -> tuple[int, ...] | None:
    first = lines[0]
    for line in lines:
        if (line.label is None) != (first.label is None):
            one, other = (line, first) if line.label is None else (first, line)
            raise ConfigError(
                f"{list_path} line {one.number}: {one.path!r} has no label but line {other.number} has one; "
                "give every line `path label`, or none a label"
            )
        if line.label is not None and line.label < 0:
            raise ConfigError(
                f"{list_path} line {line.number}: label {line.label} of {line.path!r} is negative; "
                "expected `path label` with classes from 0, or only `path`"
            )
        if line.label is not None and line.label > LARGEST_CREDIBLE_LABEL:
            raise ConfigError(
                f"{list_path} line {line.number}: label {line.label} of {line.path!r} is no class; "
                "expected `path label` with classes numbered from 0 on, or only `path`"
            )
    labels = tuple(line.label for line in lines if line.label is not None)
    return labels or None


def _all_or_no_segments(list_path: Path, lines: list[Line]) -> tuple[Segment | None, ...] | None:
    first = lines[0]
    for line in lines:
        if line.has_columns != first.has_columns:
            one, other = (first, line) if line.has_columns else (line, first)
            raise ConfigError(
                f"{list_path} line {one.number}: {one.path!r} has no start and end but line {other.number} has; "
                "where the whole video is meant, write `path,label,,`"
            )
    segments = tuple(line.segment for line in lines)
    return segments if any(segments) else None


def _class_names(list_path: Path, classes: str | Path | None) -> tuple[str, ...] | None:
    beside = list_path.parent / CLASSES_FILE
    if classes is not None:
        return read_class_names(absolute(classes))
    return read_class_names(beside) if beside.is_file() and beside != list_path else None


def _check_range(list_path: Path, lines: list[Line], names: tuple[str, ...], source: str | Path) -> None:
    for line in lines:
        if line.label is not None and line.label >= len(names):
            raise ConfigError(
                f"{list_path} line {line.number}: label {line.label} of {line.path!r} has no name: {source} has "
                f"{len(names)}, for labels 0 to {len(names) - 1}; correct one of them, or name another file with "
                "dataset.classes="
            )
