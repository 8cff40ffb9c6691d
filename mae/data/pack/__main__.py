"""`python -m mae.data.pack IN OUT [key=value …]`: a copy of videos that reads about ten times faster.

source      a list (.csv, .txt, .tsv, .lst or .list), a folder of videos, or one video; also without `source=` as first
            argument
output      folder for the packed videos and their list; also without `output=` as second argument
short_side  pixels: larger frames are made smaller (default 256)
quality     of JPEG, 1 to 100 (default 90)
workers     videos packed at the same time (default 0: one per core)
root        what relative paths in a list are relative to (default: the list's own folder)
frames      which pictures of a directory are its frames, as img_* (default: there is one series; none: no picture is)
videos_per_file  more than 1: so many videos become one file, a shard (default 1), as 1000 for a shared disk
shard       i/n: pack the i-th of n equal parts of the videos, as 3/8; numbers begin with 1. Once all are packed, the
            same command without `shard=` writes the lists
executor    dask://host:8786: workers of this cluster pack, which see the same paths (default: this machine)

Every video becomes one zip of JPEGs. `list.csv` lists them with their labels, segments and strides; `broken.csv` says
which videos are left out and why. Called again, it goes on where it was. A shard is a zip of such zips, of which only
what is wanted is read; a list names what is in it as shard-00012.zip/walk/a.mp4.zip.
Exit status: 0 if all are packed, 2 for a mistake in the command, 3 if some could not be read.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

import csv
import io
import re
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mae.cli.arguments import command_config
from mae.cli.command import run_command
from mae.cli.exit_status import EXIT_STOPPED
from mae.cli.shared_work import SharedWork
from mae.cli.typed import PATH
from mae.data.executors import workers_of
from mae.data.lists.class_names import CLASSES_FILE
from mae.data.lists.given import given_videos
from mae.data.lists.index import VideoIndex
from mae.data.lists.places import absolute
from mae.data.lists.write_lists import list_text
from mae.data.pack.names import packed_names
from mae.data.pack.one import Job, pack_one
from mae.data.pack.outcome import Outcome
from mae.data.pack.output import (
    BROKEN_FILE,
    LIST_FILE,
    check_earlier_list,
    check_places,
    made_from,
    only_one_in,
    remove_leftovers,
    writing_to,
)
from mae.data.pack.shards import Shards
from mae.data.pack.write import Pictures
from mae.data.side_by_side import side_by_side
from mae.errors import BadVideo, ConfigError
from mae.files import replacing

LARGEST_SIDE = 65500  # pixels, of a JPEG

_PROGRESS_EVERY = 10.0  # seconds


@dataclass(frozen=True)
class PackConfig(SharedWork):
    """How videos are packed."""

    short_side: int = 256  # pixels; larger frames are made smaller
    quality: int = 90  # of JPEG, 1 to 100
    workers: int = 0  # videos packed at the same time; 0: one per CPU core
    # What relative paths in a list are relative to; null: the list's own folder.
    root: str | None = field(default=None, metadata=PATH)
    frames: str | None = None  # which pictures of a directory are its frames; null: there is one series in each
    videos_per_file: int = 1  # more than one: files are shards of so many packed videos

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.short_side <= LARGEST_SIDE:
            raise ConfigError(f"short_side={self.short_side} must lie in [1, {LARGEST_SIDE}] pixels")
        if not 1 <= self.quality <= 100:
            raise ConfigError(f"quality={self.quality} must lie in [1, 100]")
        if self.workers < 0:
            raise ConfigError(f"workers={self.workers} must be 0 (one per core) or more")
        if self.videos_per_file < 1:
            raise ConfigError(f"videos_per_file={self.videos_per_file} must be 1 (a file for each video) or more")


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
    every = packed_names(given.index.paths, given.base)
    names = every if config.share is None else dict(config.share.of(list(every.items())))
    check_places(given, output, every.values())
    with writing_to(output), only_one_in(output, config.share):
        check_earlier_list(output / LIST_FILE, source)
        outcome = _pack_all(names, output, config)
        outcome.notes += given.index.notes
        if config.share is None:
            _write_lists(given.index, outcome, source, output)
    return outcome


def _pack_all(names: dict[str, str], output: Path, config: PackConfig) -> Outcome:
    """Packs videos side by side; on an error or a signal the files at work are given up."""
    pictures = Pictures(config.short_side, config.quality)
    outcome, started, stop = Outcome(len(names)), time.perf_counter(), threading.Event()
    is_sharded = config.videos_per_file > 1
    shards = Shards(output, names.values(), config.videos_per_file, config.share) if is_sharded else None
    jobs = [_job(path, name, output, shards) for path, name in names.items()]
    alone = names.values() if shards is None else ()  # what stays a file of its own
    remove_leftovers(output, alone, config.share)
    shown = started
    with workers_of(config.executor, config.workers) as workers:
        pack_it = partial(pack_one, pictures=pictures, stop=stop if workers.is_here else None)
        try:
            for pair in side_by_side(pack_it, jobs, workers, _PROGRESS_EVERY):
                if pair is not None:
                    job, done = pair
                    outcome.note(job.path, done)
                    if shards is not None:
                        shards.add(names[job.path], None if isinstance(done, BadVideo) else done.place)
                if time.perf_counter() - shown >= _PROGRESS_EVERY:
                    shown = time.perf_counter()
                    print(outcome.progress(shown - started), file=sys.stderr, flush=True)
            if shards is not None:
                shards.finish()
            remove_leftovers(output, alone, config.share)  # of workers of a cluster that were killed
        finally:
            stop.set()
    listed = names if shards is None else {path: shards.files.get(name, name) for path, name in names.items()}
    outcome.files = {path: listed[path] for path in names if path in outcome.packed}
    if shards is not None and shards.damaged:
        outcome.notes += (("damaged", "; ".join(shards.damaged) + ": packed again, these files can go"),)
    outcome.seconds = time.perf_counter() - started
    return outcome


def _job(path: str, name: str, output: Path, shards: Shards | None) -> Job:
    if shards is None:
        return Job(path, (output / name,), output / name)
    return Job(path, tuple(shards.earlier(name)), shards.place(name))


def _write_lists(index: VideoIndex, outcome: Outcome, source: Path, output: Path) -> None:
    """`list.csv` of what is packed, in the order of the input, the class names, and what is broken."""
    good = [position for position, path in enumerate(index.paths) if path in outcome.packed]
    if good:  # otherwise the list of an earlier run stays
        kept = index.part(good)
        files = [outcome.files[path] for path in kept.paths]
        text = list_text(files, kept.as_written, kept.segments, kept.strides, kept.groups)
        _write(output / LIST_FILE, f"{made_from(source)}\n{text}")
        lines = [re.sub(r"[\r\n]", " ", name) for name in index.class_names or ()]
        _write(output / CLASSES_FILE, "".join(f"{line}\n" for line in lines))
    rows = io.StringIO()
    ordered = [path for path in dict.fromkeys(index.paths) if path in outcome.broken]  # not as they happened to end
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
    print(outcome.table(output, config.share))
    return EXIT_STOPPED if outcome.broken else 0


if __name__ == "__main__":
    run_command(main, __doc__)
