"""Writing lists: paths that read back as they are, and files that are replaced only on demand."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mae.data.lists.video_index import Segment
from mae.errors import ConfigError
from mae.files import replacing, utf8_name

_NEEDS_QUOTES = re.compile(r"[\s,\"#]")


def list_text(
    paths: Sequence[str],
    labels: Sequence[int | str] | None,
    segments: Sequence[Segment | None] | None = None,
    strides: Sequence[int | None] | None = None,
    groups: Sequence[str] | None = None,
) -> str:
    """A list that `mae.data.lists.text_list.index_csv` reads back as these paths, labels, segments, strides and groups.

    With any of the last four there is a header. Without them there is none, as a file of its name might exist.

    Raises:
        ConfigError: a path that no list can hold.
    """
    columns: dict[str, Sequence[object]] = {"path": [_written(path) for path in paths]}
    if labels is not None:
        columns["label"] = [_in_quotes(label) if isinstance(label, str) else label for label in labels]
    if segments is not None:
        ends = [segment or ("", "") for segment in segments]
        columns["start"], columns["end"] = [start for start, _ in ends], [end for _, end in ends]
    if strides is not None:
        columns["stride"] = ["" if stride is None else stride for stride in strides]
    if groups is not None:
        columns["group"] = [_in_quotes(group) for group in groups]
    header = [",".join(columns)] if len(columns) > 1 else []
    lines = [",".join(str(field) for field in row) for row in zip(*columns.values(), strict=True)]
    return "".join(f"{line}\n" for line in (*header, *lines))


def write_files(contents: Mapping[Path, str], overwrite: bool, keep: Iterable[Path] = ()) -> None:
    """Writes text files, each at once or not at all; one that has its content already is left alone.

    Args:
        contents: what is to be in each file.
        overwrite: whether a file with other content is replaced.
        keep: files that are not replaced in any case.

    Raises:
        ConfigError: a file is there with other content, before anything is written; or writing fails.
    """
    kept = {os.path.realpath(path) for path in keep}
    differing = [path for path, text in contents.items() if path.exists() and _differs(path, text)]
    for path in differing:
        if os.path.realpath(path) in kept:
            raise ConfigError(f"{path} is an annotation that was read; give another folder for the lists, as output=")
    if differing and not overwrite:
        names = ", ".join(str(path) for path in differing)
        raise ConfigError(f"something else is in {names}: overwrite=true replaces it, output= names another folder")
    for path, text in contents.items():
        if path.exists() and path not in differing:
            continue
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(text.encode())
        except OSError as error:
            raise ConfigError(f"{path} cannot be written ({error.strerror}); output= names another folder") from error


def _written(path: str) -> str:
    try:
        path = utf8_name(path)
    except ValueError as error:
        raise ConfigError(f"the name {path!r} is not valid UTF-8; rename the file") from error
    if re.search(r"[\r\n]", path):
        raise ConfigError(f"the name {path!r} holds a line break; rename the file")
    # A home directory, and column names, look like these.
    if path.startswith("~") or not re.search(r"[./\\]", path):
        path = f"./{path}"
    return _in_quotes(path)


def _in_quotes(text: str) -> str:
    """A field, in quotes where it would be taken for several without."""
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from error
