"""Text lists: one video a line, with or without label, segment and stride.

`mae.data.lists.columns` has the grammar of those with a header, `mae.data.lists.lines` that of the others.
"""

import os
from pathlib import Path

from mae.data.lists.class_names import CLASSES_FILE, read_class_names
from mae.data.lists.columns import lines_below, read_header
from mae.data.lists.labels import numbered_labels
from mae.data.lists.lines import Line, parse_line
from mae.data.lists.places import absolute, existing_directory
from mae.data.lists.video_index import Segment, VideoIndex, list_digest
from mae.errors import ConfigError
from mae.files import native_name, read_utf8


def index_csv(list_path: str | Path, root: str | Path | None, classes: str | Path | None = None) -> VideoIndex:
    """The videos of a text list, in its order.

    Blank lines and lines that begin with `#` are skipped; start and end are seconds. Relative paths are relative to
    `root`, or to the list's own directory. Whether the files exist is for `check_files` to say.

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
    lines, unused = read_list(list_path, base)
    names = _class_names(list_path, classes)
    try:
        labels, class_names, by_name = numbered_labels(lines, names, classes or list_path.parent / CLASSES_FILE)
        segments = _all_or_no_segments(lines)
    except ConfigError as error:
        raise ConfigError(f"{list_path} {error}") from error
    paths = tuple(str(base / os.path.expanduser(native_name(line.path))) for line in lines)
    prefix = os.path.join(base, "")
    relative = [path.removeprefix(prefix).replace(os.sep, "/") for path in paths]
    strides = tuple(line.stride for line in lines) if any(line.stride for line in lines) else None
    digest = list_digest(relative, labels, segments, strides)
    notes = (("columns not used", ", ".join(unused)),) if unused else ()
    return VideoIndex(paths, labels, class_names, digest, segments, strides, is_numbered_by_name=by_name, notes=notes)


def read_list(list_path: Path, base: Path) -> tuple[list[Line], tuple[str, ...]]:
    """The videos of a list, and the columns of it that mean nothing here.

    Args:
        base: what relative paths are relative to: a first line that is the name of a file is no header.

    Raises:
        ConfigError: no such file, no video in it, or a line that makes no sense.
    """
    texts = read_utf8(list_path, "the list ").split("\n")
    content = [(number, text.strip()) for number, text in enumerate(texts, start=1)]
    content = [(number, text) for number, text in content if text and not text.startswith("#")]

    def exists(name: str) -> bool:
        return bool(name) and os.path.exists(base / native_name(name))

    try:
        header = read_header(content[0][1], exists) if content else None
        if header is not None:
            number = content[0][0]
            lines, unused = lines_below(header, texts[number:], number + 1), header.unused
        else:
            names_directories = bool(content) and _names_directories(content[0][1], base)
            lines, unused = [parse_line(number, text, names_directories) for number, text in content], ()
    except ConfigError as error:
        raise ConfigError(f"{list_path} {error}") from error
    if not lines:
        raise ConfigError(f"{list_path} lists no video; expected one `path` or `path label` a line")
    return lines, unused


def _names_directories(text: str, base: Path) -> bool:
    """Whether what stands behind the first line's comma is the name of a class, as only the disk can tell."""
    path = parse_line(1, text, names_directories=True).path
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
