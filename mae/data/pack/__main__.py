"""`python -m mae.data.pack IN OUT [key=value …]`: a copy of videos that reads about ten times faster.

source      a list (.csv, .txt, .tsv, .lst or .list), a folder of videos, or one video; also without `source=` as first
            argument
output      folder for the packed videos and their list; also without `output=` as second argument
short_side  pixels: larger frames are made smaller (default 256)
quality     of JPEG, 1 to 100 (default 90)
workers     videos packed at the same time (default 0: one per core)
root        what relative paths in a list are relative to (default: the list's own folder)
frames      which pictures of a directory are its frames, as img_* (default: there is one series; none: no picture is)

Every video becomes one zip of JPEGs. `list.csv` lists them with their labels, segments and strides; `broken.csv` says
which videos are left out and why. Called again, it goes on where it was.
Exit status: 0 if all are packed, 2 for a mistake in the command, 3 if some could not be read.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

import csv
import errno
import fcntl
import io
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mae.cli.arguments import command_config
from mae.cli.command import run_command
from mae.cli.exit_status import EXIT_STOPPED
from mae.cli.typed import PATH
from mae.data.lists.class_names import CLASSES_FILE
from mae.data.lists.given import GivenVideos, given_videos
from mae.data.lists.index import VideoIndex
from mae.data.lists.places import absolute
from mae.data.lists.write_lists import list_text
from mae.data.pack.names import packed_names
from mae.data.pack.outcome import Outcome
from mae.data.pack.write import Packed, Pictures, packed_before, write_packed
from mae.data.videos.read import pin_threads
from mae.errors import BadVideo, ConfigError
from mae.files import abandoned, replacing

LIST_FILE, BROKEN_FILE = "list.csv", "broken.csv"
LARGEST_SIDE = 65500  # pixels, of a JPEG

_MADE_FROM = "# packed by mae.data.pack from "  # begins every list that this command writes
_WRITTEN = r".+\.zip|list\.csv|classes\.txt|broken\.csv"  # names of what this command writes
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR)
_PROGRESS_EVERY = 10.0  # seconds


@dataclass(frozen=True)
class PackConfig:
    """How videos are packed."""

    short_side: int = 256  # pixels; larger frames are made smaller
    quality: int = 90  # of JPEG, 1 to 100
    workers: int = 0  # videos packed at the same time; 0: one per CPU core
    # What relative paths in a list are relative to; null: the list's own folder.
    root: str | None = field(default=None, metadata=PATH)
    frames: str | None = None  # which pictures of a directory are its frames; null: there is one series in each

    def __post_init__(self) -> None:
        if not 1 <= self.short_side <= LARGEST_SIDE:
            raise ConfigError(f"short_side={self.short_side} must lie in [1, {LARGEST_SIDE}] pixels")
        if not 1 <= self.quality <= 100:
            raise ConfigError(f"quality={self.quality} must lie in [1, 100]")
        if self.workers < 0:
            raise ConfigError(f"workers={self.workers} must be 0 (one per core) or more")


@dataclass(frozen=True, kw_only=True)
class PackArguments(PackConfig):
    """The arguments of the command."""

    source: str = field(metadata=PATH)  # a list, a folder or a video
    output: str = field(metadata=PATH)  # folder


def parse(words: Sequence[str]) -> tuple[Path, Path, PackConfig]:
    """Input, output and settings.

    Raises:
        ConfigError: wrong ones.
    """
    given = command_config(PackArguments, words, in_front=("source", "output"))
    return absolute(given.source), absolute(given.output), given


def pack(source: Path, output: Path, config: PackConfig) -> Outcome:
    """Packs all videos and writes the list.

    Raises:
        ConfigError: nothing to read, no place to write, or the output would mix with the input.
    """
    given = given_videos("source=", source, config.root, config.frames)
    names = packed_names(given.index.paths, given.base)
    _check_places(given, output, names)
    with _writing_to(output), _only_one_in(output):
        _check_earlier_list(output / LIST_FILE, source)
        _remove_leftovers({output, *(output / os.path.dirname(name) for name in names.values())})
        outcome = _pack_all(names, output, config)
        outcome.notes = given.index.notes
        _write_lists(given.index, names, outcome, source, output)
    return outcome


def _check_places(given: GivenVideos, output: Path, names: dict[str, str]) -> None:
    """Refuses an output that would be read as input, or written over it."""
    source, real = given.path, Path(os.path.realpath(output))
    if source.is_dir():
        folder = Path(os.path.realpath(source))
        if real == folder or folder in real.parents:
            raise ConfigError(
                f"output={output} lies in source={source}, where packed videos would count as more videos; "
                "give a folder elsewhere"
            )
    elif source == output / LIST_FILE or os.path.realpath(source) == str(real / LIST_FILE):
        raise ConfigError(f"output={output} would get a {LIST_FILE} in place of the input; give another folder")
    sources = set(given.index.paths)
    for name in names.values():
        for target in (output / name, real / name):
            if str(target) in sources:
                raise ConfigError(f"{target} is one of the videos and would be replaced; give another output=")


def _check_earlier_list(path: Path, source: Path) -> None:
    """Refuses to replace a list that was not made from the same input."""
    if not path.exists():
        return
    first = path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
    if first != _made_from(source):
        made = first.removeprefix(_MADE_FROM) if first.startswith(_MADE_FROM) else "something else"
        raise ConfigError(f"{path} was made from {made}, not from {source}; give another output=, or remove that file")


def _made_from(source: Path) -> str:
    return _MADE_FROM + str(source).encode("unicode_escape", "surrogatepass").decode()


@contextmanager
def _writing_to(output: Path) -> Iterator[None]:
    """Makes the folder; what cannot be written is one line."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        hint = "; make room and call again: it goes on where it was" if error.errno in _OUTPUT_ERRORS[:2] else ""
        place = error.filename2 or error.filename or output
        raise ConfigError(f"{place} cannot be written ({error.strerror}){hint}") from error


@contextmanager
def _only_one_in(output: Path) -> Iterator[None]:
    """Keeps a second process out: it would take the files at work for leftovers."""
    descriptor = os.open(output, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another process is packing into {output}; wait, or give another output=") from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


def _remove_leftovers(folders: set[Path]) -> None:
    for folder in folders:
        for path in abandoned(folder, _WRITTEN):
            path.unlink(missing_ok=True)


def _pack_all(names: dict[str, str], output: Path, config: PackConfig) -> Outcome:
    """Packs videos side by side; on an error or a signal the files at work are given up."""
    pin_threads()
    pictures = Pictures(config.short_side, config.quality)
    outcome, started, stop = Outcome(len(names)), time.perf_counter(), threading.Event()
    workers = config.workers or os.cpu_count() or 1
    working: dict[Future[tuple[Packed, bool]], str] = {}
    shown = started

    def take_finished(most: int) -> None:
        nonlocal shown
        while len(working) > most:
            for future in wait(working, timeout=_PROGRESS_EVERY, return_when=FIRST_COMPLETED).done:
                _note(outcome, working.pop(future), future)
            if time.perf_counter() - shown >= _PROGRESS_EVERY:
                shown = time.perf_counter()
                print(outcome.progress(shown - started), file=sys.stderr, flush=True)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for path, name in names.items():
                working[pool.submit(_pack_one, path, output / name, pictures, stop)] = path
                take_finished(2 * workers)
            take_finished(0)
        finally:
            stop.set()
    outcome.seconds = time.perf_counter() - started
    return outcome


class _GivenUp(Exception):
    """The command ends before this video is packed."""


def _pack_one(path: str, target: Path, pictures: Pictures, stop: threading.Event) -> tuple[Packed, bool]:
    """A packed video, and whether it is new."""

    def check() -> None:
        if stop.is_set():
            raise _GivenUp

    check()
    earlier = packed_before(path, target, pictures)
    return (earlier, False) if earlier else (write_packed(path, target, pictures, check), True)


def _note(outcome: Outcome, path: str, future: Future[tuple[Packed, bool]]) -> None:
    try:
        packed, is_new = future.result()
    except BadVideo as error:
        outcome.broken[path] = str(error)
    except OSError as error:
        if error.errno in _OUTPUT_ERRORS:
            raise
        outcome.broken[path] = str(error)
    else:
        outcome.packed[path] = packed
        outcome.kept += not is_new
        outcome.new_frames += packed.frames * is_new


def _write_lists(index: VideoIndex, names: dict[str, str], outcome: Outcome, source: Path, output: Path) -> None:
    """`list.csv` of what is packed, in the order of the input, the class names, and what is broken."""
    good = [position for position, path in enumerate(index.paths) if path in outcome.packed]
    if good:  # otherwise the list of an earlier run stays
        kept = index.part(good)
        text = list_text(
            [names[path] for path in kept.paths], kept.as_written, kept.segments, kept.strides, kept.groups
        )
        _write(output / LIST_FILE, f"{_made_from(source)}\n{text}")
        lines = [re.sub(r"[\r\n]", " ", name) for name in index.class_names or ()]
        _write(output / CLASSES_FILE, "".join(f"{line}\n" for line in lines))
    rows = io.StringIO()
    ordered = [path for path in names if path in outcome.broken]  # not as they happened to end
    csv.writer(rows, lineterminator="\n").writerows([("path", "reason"), *((p, outcome.broken[p]) for p in ordered)])
    _write(output / BROKEN_FILE, rows.getvalue() if ordered else "")


def _write(path: Path, text: str) -> None:
    """Replaces a file; an empty one is removed."""
    if not text:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def main(words: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    source, output, config = parse(words)
    outcome = pack(source, output, config)
    print(outcome.table(output / LIST_FILE, output / BROKEN_FILE))
    return EXIT_STOPPED if outcome.broken else 0


if __name__ == "__main__":
    run_command(main, __doc__)
