"""The list of videos: from a directory or a text list to absolute paths and labels."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mae.data.config import CsvDataset, DatasetConfig, ShapesDataset
from mae.errors import ConfigError

VIDEO_EXTENSIONS = (
    *(".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg"),
    *(".m4v", ".ts", ".mts", ".3gp", ".wmv", ".flv", ".ogv"),
)

# Everything before the last comma or blank is the path, so paths may hold both.
_LABELLED_LINE = re.compile(r"(?P<path>.*?\S)\s*[,\s]\s*(?P<label>[+-]?[0-9]+)")


@dataclass(frozen=True)
class VideoIndex:
    """The videos of a data set; an example is a place in `paths`."""

    paths: tuple[str, ...]  # absolute
    labels: tuple[int, ...] | None  # class of each, from 0
    class_names: tuple[str, ...] | None  # None for lists, which hold numbers only
    digest: str  # sha256 of relative paths and labels: the same list elsewhere has the same


def build_index(
    dataset: DatasetConfig, max_bad_frac: float, progress: Callable[[int, int], None] | None = None
) -> VideoIndex:
    """The training videos of `dataset=`; the demo set is rendered where it is missing.

    `progress(done, total)` is called after every rendered video.

    Raises:
        ConfigError: nothing to read, a malformed list, or more than `max_bad_frac` of the listed files missing.
    """
    if isinstance(dataset, ShapesDataset):
        from mae.data.shapes import ensure_shapes

        return index_folder(ensure_shapes(dataset, progress))
    if not isinstance(dataset, CsvDataset):
        return index_folder(dataset.root)
    index = index_csv(_find_list(dataset), dataset.root)
    check_files(index, max_bad_frac)
    return index


def index_folder(root: str | Path | None) -> VideoIndex:
    """All videos below `root`, sorted; hidden files and directories are left out, links are followed.

    The first directory below `root` is the class, where every video lies in one; otherwise there are no labels.

    Raises:
        ConfigError: `root` is not given, not a directory, or holds no video.
    """
    if root is None:
        raise ConfigError(
            "dataset.root is not set; give the folder that holds the videos: dataset.root=/path/to/videos"
        )
    root = _existing_directory(root)
    relative = sorted(_videos_below(root))
    if not relative:
        kinds = " ".join(VIDEO_EXTENSIONS)
        raise ConfigError(f"dataset.root={root} holds no video; looked for {kinds} in it and below")
    labels, class_names = None, None
    if all("/" in path for path in relative):
        names = [path.split("/", 1)[0] for path in relative]
        class_names = tuple(sorted(set(names)))
        numbers = {name: number for number, name in enumerate(class_names)}
        labels = tuple(numbers[name] for name in names)
    paths = tuple(os.path.join(root, path) for path in relative)
    return VideoIndex(paths, labels, class_names, _digest(relative, labels))


def index_csv(list_path: str | Path, root: str | Path | None) -> VideoIndex:
    """The videos of a text list, in its order: one `path` or `path label` a line.

    A comma or a blank separates them; a line whose last word is not an integer has no label. Blank lines, lines
    that begin with `#` and a header are skipped; a path may stand in double quotes. Relative paths are relative
    to `root`, or to the list's own directory. Whether the files exist is for `check_files` to say.

    Raises:
        ConfigError: no such list or root, no line in it, or labels on some lines only.
    """
    list_path = _absolute(list_path)
    base = list_path.parent if root is None else _existing_directory(root)
    lines = [_parse(number, text) for number, text in _content_lines(list_path)]
    if lines and _is_header(lines, base):
        lines = lines[1:]
    if not lines:
        raise ConfigError(f"{list_path} lists no video; expected one `path` or `path label` a line")
    labels = _all_or_no_labels(list_path, lines)
    paths = tuple(str(base / os.path.expanduser(line.path)) for line in lines)
    prefix = os.path.join(base, "")
    relative = [path.removeprefix(prefix).replace(os.sep, "/") for path in paths]
    return VideoIndex(paths, labels, None, _digest(relative, labels))


def single_video(path: str | Path) -> VideoIndex:
    """One file as a data set without labels; whether it can be read is found out when it is."""
    path = _absolute(path)
    return VideoIndex((str(path),), None, None, _digest([path.name], None))


def check_files(index: VideoIndex, max_bad_frac: float) -> None:
    """Raises `ConfigError` when all files, or more than `max_bad_frac` of them, are missing.

    Directories are listed once each: asking for a quarter of a million files one by one takes minutes on network
    storage.
    """
    listings: dict[str, frozenset[str]] = {}
    missing = [path for path in index.paths if not _exists(path, listings)]
    total = len(index.paths)
    if len(missing) == total:
        raise ConfigError(
            f"none of the {total} listed videos exists, the first would be {missing[0]}; "
            "dataset.root= says what the paths in the list are relative to"
        )
    if len(missing) > max_bad_frac * total:
        raise ConfigError(
            f"{len(missing)} of {total} listed videos are missing, more than data.max_bad_frac={max_bad_frac:g} "
            f"allows, the first: {missing[0]}; get them, take them off the list or raise data.max_bad_frac"
        )


def _find_list(dataset: CsvDataset) -> Path:
    """The list in the root or the working directory."""
    if dataset.train is None:
        raise ConfigError("dataset.train is not set; give the list of videos: dataset.train=list.csv")
    tried = [_absolute(dataset.train)]
    if dataset.root is not None:
        tried.insert(0, _existing_directory(dataset.root) / os.path.expanduser(dataset.train))
    for path in dict.fromkeys(tried):
        if path.is_file():
            return path
    hint = "; dataset.root is not set, which is looked in as well" if dataset.root is None else ""
    places = " nor ".join(str(path) for path in dict.fromkeys(tried))
    raise ConfigError(f"dataset.train={dataset.train}: there is no file {places}{hint}")


def _existing_directory(root: str | Path) -> Path:
    path = _absolute(root)
    if not path.is_dir():
        raise ConfigError(f"dataset.root={root} is not a directory; give the folder that holds the videos")
    return path


def _absolute(path: str | Path) -> Path:
    # Path.expanduser raises for the home of nobody, which is a file name like any other.
    return Path(os.path.expanduser(path)).absolute()


def _videos_below(root: Path) -> list[str]:
    """Paths relative to `root`, with forward slashes."""

    def refuse(error: OSError) -> None:
        raise ConfigError(f"{error.filename} cannot be listed ({error.strerror})") from error

    found = []
    entered = {os.path.realpath(root)}
    for directory, subdirectories, files in os.walk(root, onerror=refuse, followlinks=True):
        below = []
        for name in sorted(subdirectories):
            real = os.path.realpath(os.path.join(directory, name))
            # A link to a directory above would never end; lost+found belongs to the file system.
            if not name.startswith(".") and name != "lost+found" and real not in entered:
                entered.add(real)
                below.append(name)
        subdirectories[:] = below
        for name in files:
            if os.path.splitext(name)[1].lower() in VIDEO_EXTENSIONS and not name.startswith("."):
                found.append(os.path.relpath(os.path.join(directory, name), root).replace(os.sep, "/"))
    return found


class _Line(NamedTuple):
    number: int
    path: str
    label: int | None


def _content_lines(list_path: Path) -> list[tuple[int, str]]:
    try:
        text = list_path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{list_path} is not a UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"the list {list_path} cannot be read ({error.strerror})") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _parse(number: int, text: str) -> _Line:
    match = _LABELLED_LINE.fullmatch(text)
    path, label = (text, None) if match is None else (match["path"], int(match["label"]))
    if len(path) > 1 and path[0] == path[-1] == '"':
        path = path[1:-1].replace('""', '"')
    return _Line(number, path, label)


def _is_header(lines: list[_Line], base: Path) -> bool:
    """Whether the first line holds column names: words without a dot or slash, no label, and no such file."""
    first = lines[0]
    looks_like_names = first.label is None and not re.search(r"[./\\]", first.path)
    return looks_like_names and len(lines) > 1 and not os.path.exists(base / first.path)


def _all_or_no_labels(list_path: Path, lines: list[_Line]) -> tuple[int, ...] | None:
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
    labels = tuple(line.label for line in lines if line.label is not None)
    return labels or None


def _exists(path: str, listings: dict[str, frozenset[str]]) -> bool:
    directory, name = os.path.split(path)
    if directory not in listings:
        try:
            listings[directory] = frozenset(os.listdir(directory))
        except (OSError, ValueError):  # the latter for a NUL in the name
            listings[directory] = frozenset()
    # File systems that ignore case or normalise Unicode list another spelling.
    return name in listings[directory] or os.path.exists(path)


def _digest(relative: list[str], labels: tuple[int, ...] | None) -> str:
    numbers = [""] * len(relative) if labels is None else [str(label) for label in labels]
    lines = [f"{path}\t{number}\n" for path, number in zip(relative, numbers, strict=True)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
