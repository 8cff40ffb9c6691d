"""`python -m mae.data.scan list.csv [key=value …]`: which videos are broken, and what can be known about the others.

videos      a list (.csv, .txt, .tsv, .lst or .list), a folder of videos, or one video; also without `videos=` as first
            argument
root        what relative paths in a list are relative to (default: the list's own folder)
output      folder for the files below, there already (default: the list's own folder; else the working directory)
workers     videos decoded at the same time (default 0: one per core)
timeout_s   seconds that one video may take (default 600)
again       true: decode also what an earlier scan has decoded (default false)
frames      which pictures of a directory are its frames, as img_* (default: there is one series; none: no picture is)
report      a page of HTML: lengths, sizes, rates, classes with frames of each, duplicates, what is broken (with the
            extra `report`)
against     other lists or folders, as [val.csv,test.csv], that should have no video of this one: what they do is told
window      of arrays, what becomes black and white, as [-1000,400] (default: they are uint8)
statistics  true: compute the mean and standard deviation of each channel as well, over 16 evenly spaced frames of every
            video that is not broken, and print the settings to type (default false)
channels    that these are of: rgb (default), grey, or stored, those of arrays; as data.channels in training
shard       i/n: scan the i-th of n equal parts of the videos, as 3/8; numbers begin with 1. Once all are scanned, the
            same command without `shard=` writes the files
executor    dask://host:8786: workers of this cluster scan, which see the same paths (default: this machine)

Every video is decoded once from its first frame to its last. Written are `<name>_scan.csv`, a line per video;
`<name>_quarantine.csv`, path and reason of every broken one; and `<name>_clean.csv`, the list without those, by
absolute paths where the list's relative ones would lead elsewhere from `output`.
What was found out about the others is kept in the user's cache directory, so that an interrupted scan goes on where it
stopped, and training reads faster: it seeks in files in which seeks were found exact, and knows the frame counts that
files state wrongly. No clip changes by it.

Exit status: 0 if no video is broken, 2 for a mistake in the command, 3 if broken ones were found.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mae.cli.arguments import command_config
from mae.cli.command import run_command
from mae.cli.exit_status import EXIT_STOPPED
from mae.cli.shared_work import SharedWork
from mae.cli.typed import PATH
from mae.data.executors import workers_of
from mae.data.lists.given import GivenVideos, given_videos
from mae.data.lists.places import absolute
from mae.data.parts import Parts
from mae.data.remote.address import is_remote
from mae.data.scan.duplicates import Duplicates, find_duplicates
from mae.data.scan.examine import examine_within, never
from mae.data.scan.files import check_writable, write_scan
from mae.data.scan.page import PACKAGES, write_page
from mae.data.scan.statistics import channel_statistics, settings_of
from mae.data.scan.table import duplicate_rows, scan_rows
from mae.data.side_by_side import side_by_side
from mae.data.videos.decoding import Decoding, check_window
from mae.data.videos.file_key import FileKey, file_key
from mae.data.videos.kinds import ARRAYS
from mae.data.videos.read import pin_threads
from mae.data.videos.scan_cache import ScanCache, scan_cache, software
from mae.data.videos.scan_report import ScanReport
from mae.errors import BadVideo, ConfigError
from mae.monitoring.console import format_duration, format_table
from mae.monitoring.pages.write import check_libraries

STOP_WITHIN_S = 3.0  # after Control-C, for the videos begun
ARRAY_NAMES = frozenset(kind.name for kind in ARRAYS)
SAY_EVERY_S = (0.5, 10.0)  # progress, on a terminal and elsewhere


@dataclass(frozen=True)
class ScanConfig(SharedWork):
    """The arguments of the command."""

    videos: str = field(metadata=PATH)  # a list, a folder or a video
    # What relative paths in a list are relative to; null: the list's own folder.
    root: str | None = field(default=None, metadata=PATH)
    # Folder; null: the list's own, or the working directory.
    output: str | None = field(default=None, metadata=PATH)
    workers: int = 0  # videos decoded at the same time; 0: one per core
    timeout_s: float = 600.0  # per video
    again: bool = False  # whether to decode what is in the cache, too
    frames: str | None = None  # which pictures of a directory are its frames; null: there is one series in each
    report: str | None = field(default=None, metadata=PATH)  # a page of HTML; null: none
    against: list[str] = field(default_factory=list, metadata=PATH)  # lists that should share no video with this one
    window: list[float] | None = None  # what becomes black and white of arrays; null: they are uint8
    statistics: bool = False  # whether to compute what pixels are normalised by
    channels: str = "rgb"  # that it is computed of

    @property
    def decoding(self) -> Decoding:
        """What pixels are made of frames; raises `ConfigError` for what there is not."""
        return Decoding(channels=self.channels, window=check_window(self.window, ""))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.share is not None and (self.report is not None or self.statistics or self.against):
            raise ConfigError(
                f"shard={self.shard} scans a part; report=, statistics= and against= are for all videos: give them "
                "with the same command without shard="
            )
        if self.decoding.channels != "rgb" and not self.statistics:
            raise ConfigError(f"channels={self.channels} is for statistics=true: give it as well")
        if self.workers < 0:
            raise ConfigError(f"workers={self.workers} must be 0 (one per core) or more")
        if not self.timeout_s > 0:
            raise ConfigError(f"timeout_s={self.timeout_s} must be more than 0")
        if self.output is not None and not absolute(self.output).is_dir():
            raise ConfigError(f"output={self.output} is not a folder; make it first")


def parse(arguments: Sequence[str]) -> ScanConfig:
    """The arguments of the command; the first may be the videos themselves.

    Raises:
        ConfigError: wrong ones.
    """
    return command_config(ScanConfig, arguments, in_front=("videos",))


def scan(config: ScanConfig) -> dict[str, ScanReport]:
    """Scans, writes the files, prints the table; returns the reports by path, in the order of the list.

    Raises:
        ConfigError: nothing to scan, or no place to write.
    """
    given = given_videos("videos=", config.videos, config.root, config.frames)
    paths = list(dict.fromkeys(given.index.paths))
    paths = paths if config.share is None else config.share.of(paths)
    others = {value: given_videos("against=", value, frames=config.frames).index for value in config.against}
    folder = _results_folder(config, given)
    check_writable(folder)
    if config.report is not None:
        check_libraries(PACKAGES)
        check_writable(absolute(config.report).parent, "report=")
    pin_threads()
    output = folder / f"{_results_name(given)}_scan.csv"
    parts = Parts(output, {"software": software(), "window": config.window}, config.share)
    try:
        with scan_cache() as cache, closing(parts):
            reports = _reports(paths, config, cache, parts)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"the cache of scans cannot be written ({error}); XDG_CACHE_HOME= names another") from error
    reports = {path: reports[path] for path in paths}
    if config.share is not None:
        told = f"once all {config.share.count} parts are scanned, the same command without shard= writes {output}"
        print(format_table([*scan_rows(reports), ("next", told)], f"scan, part {config.shard}"))
        return reports
    source = given.path if given.kind == "list" and not is_remote(config.videos) else None
    written = write_scan(folder, _results_name(given), source, given.index, reports, config.root)
    rows = dict(scan_rows(reports))
    rows |= {name: value for name, value in given.index.notes if name not in rows}
    if others or config.report is not None:
        duplicates = find_duplicates(given.index, others)
        rows |= dict(duplicate_rows(duplicates))
        written += _write_page(config, given, reports, duplicates)
    parts.remove()
    print(format_table([*rows.items(), ("written", "\n".join(map(str, written)))], "scan"))
    if config.statistics:
        print(_statistics([path for path, report in reports.items() if not report.is_broken], config))
    return reports


def _write_page(
    config: ScanConfig, given: GivenVideos, reports: Mapping[str, ScanReport], duplicates: Duplicates
) -> list[Path]:
    """Writes the page where one is wanted; returns its path."""
    if config.report is None:
        return []
    path = absolute(config.report)
    try:
        write_page(path, given.path.name, given.index, reports, duplicates, config.decoding)
    except OSError as error:
        raise ConfigError(f"report={config.report} cannot be written ({error.strerror})") from error
    return [path]


def _statistics(paths: Sequence[str], config: ScanConfig) -> str:
    """What the channels of some videos are normalised by, and how to say so."""
    if not paths:
        return "statistics: no video is whole"
    made, frames = channel_statistics(paths, config.decoding, config.workers, config.timeout_s)
    return f"statistics of {frames} frames of {len(paths)} videos: {' '.join(settings_of(made, config.decoding))}"


def _results_folder(config: ScanConfig, given: GivenVideos) -> Path:
    if config.output is not None:
        return absolute(config.output)
    return given.path.parent if given.kind == "list" and not is_remote(config.videos) else Path.cwd()


def _results_name(given: GivenVideos) -> str:
    """What the names of the results begin with."""
    path = Path(os.path.normpath(given.path))
    return path.name if path.is_dir() else path.stem


def _reports(paths: list[str], config: ScanConfig, cache: ScanCache, parts: Parts) -> dict[str, ScanReport]:
    """Of every path: from the cache or from another share of the scan, or else by decoding."""
    reports: dict[str, ScanReport] = {}
    keys: dict[str, FileKey] = {}
    for path in paths:
        try:
            keys[path] = (path, 0, 0) if is_remote(path) else file_key(path)  # who scans an address fetches it
        except BadVideo as error:
            reports[path] = ScanReport(reason=str(error))
            continue
        if config.again:
            continue
        if (known := cache.get(keys[path])) is not None:
            reports[path] = known
        elif (known := _found_by_share(parts, keys[path])) is not None:
            reports[path] = known
            _keep(known, keys[path], cache, None)  # what another machine found out helps this one, too
    left = [path for path in paths if path not in reports]
    progress = _Progress(len(left), len(paths) - len(left))
    is_stopped = threading.Event()
    try:
        # A decoder that runs while the process ends may crash it.
        with workers_of(config.executor, config.workers, leave_within_s=STOP_WITHIN_S) as workers:
            stops = is_stopped.is_set if workers.is_here else never
            window = config.decoding.window
            look = partial(examine_within, timeout_s=config.timeout_s, window=window, is_stopped=stops)
            try:
                for pair in side_by_side(look, left, workers, wait_s=1.0):
                    if pair is None:
                        cache.flush()
                    else:
                        path, found = pair
                        reports[path] = ScanReport(reason=str(found)) if isinstance(found, BadVideo) else found
                        _keep(reports[path], keys[path], cache, parts if config.share is not None else None)
                        progress.done(reports[path].is_broken)
                    progress.say()
            finally:
                is_stopped.set()
    finally:
        progress.end()
    return reports


def _keep(report: ScanReport, key: FileKey, cache: ScanCache, parts: Parts | None) -> None:
    # What is broken may be so for now: a full disk, a decoder not installed. Arrays depend on the window.
    if not report.is_broken and report.decoder not in ARRAY_NAMES and not is_remote(key[0]):
        cache.put(key, report)
    if parts is not None:
        parts.put(key[0], [*key[1:], report.to_json()])


def _found_by_share(parts: Parts, key: FileKey) -> ScanReport | None:
    """What a share of this scan, perhaps on another machine, has found out of the file as it is."""
    *state, text = parts.known.get(key[0], (None, None, None))
    return ScanReport.from_json(text) if state == list(key[1:]) else None


class _Progress:
    """A line on stderr: rewritten on a terminal, a new one now and then elsewhere."""

    def __init__(self, total: int, known: int) -> None:
        self._total, self._known = total, known
        self._done = self._broken = 0
        self._is_terminal = sys.stderr.isatty()
        self._started = self._said = time.monotonic()

    def done(self, is_broken: bool) -> None:
        self._done += 1
        self._broken += is_broken

    def say(self) -> None:
        now = time.monotonic()
        if now - self._said < SAY_EVERY_S[0 if self._is_terminal else 1]:
            return
        self._said = now
        rate = self._done / (now - self._started)
        eta = (self._total - self._done) / rate if rate else float("inf")
        known = f" ({self._known} known before)" if self._known else ""
        line = (
            f"{self._done}/{self._total} videos{known}  {self._broken} broken  {rate:.1f} videos/s  "
            f"ETA {format_duration(eta)}"
        )
        print(f"\r{line}\x1b[K" if self._is_terminal else line, end="" if self._is_terminal else "\n", file=sys.stderr)
        sys.stderr.flush()

    def end(self) -> None:
        if self._is_terminal and self._said > self._started:
            print(file=sys.stderr)


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    reports = scan(parse(arguments))
    return EXIT_STOPPED if any(report.is_broken for report in reports.values()) else 0


if __name__ == "__main__":
    run_command(main, __doc__)
