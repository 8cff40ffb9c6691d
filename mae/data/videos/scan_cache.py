"""What scans found out, in one file of the user's cache directory.

The file is an SQLite database in its default journal mode, so that several scans may write at once, a killed one leaves
every finished row, and home directories on network storage work (write-ahead logging needs memory that all writers
share, which machines do not). Writes are short transactions of whole seconds of work. A row counts only for the file as
it was, path, size and modification time, and for the versions of the decoders that judged it.
"""

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import av
import cv2

from mae.data.videos.file_key import FileKey
from mae.data.videos.scan_report import ScanReport
from mae.files import cache_directory

VERSION = 3  # of what a scan looks at: raise it when old rows say too little
WAIT_S = 60.0  # for another scan's transaction
FLUSH_S = 1.0  # work that a killed scan may lose

_TABLE = """CREATE TABLE IF NOT EXISTS scans (
    path BLOB PRIMARY KEY, bytes INTEGER, modified_ns INTEGER, software TEXT, helps INTEGER, report TEXT
) WITHOUT ROWID"""


def cache_path() -> Path:
    """Of the database, there or not."""
    return cache_directory() / "scans.sqlite"


def software() -> str:
    """The decoders a row is true for."""
    return f"scan {VERSION}, opencv {cv2.__version__}, av {av.__version__}"


class ScanCache:
    """The cache as a scan uses it: asks for and puts reports. For one thread; opened by `scan_cache`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._software = software()
        self._pending: list[tuple[bytes, int, int, str, bool, str]] = []
        self._flushed = time.monotonic()

    def get(self, key: FileKey) -> ScanReport | None:
        """The report of a file as it is now."""
        path, size, modified = key
        row = self._connection.execute(
            "SELECT report FROM scans WHERE path = ? AND bytes = ? AND modified_ns = ? AND software = ?",
            (os.fsencode(os.path.abspath(path)), size, modified, self._software),
        ).fetchone()
        return None if row is None else _parsed(row[0])

    def put(self, key: FileKey, report: ScanReport) -> None:
        """Keeps a report, in place of an earlier one of that path; on the disk after `flush`."""
        path, size, modified = key
        name = os.fsencode(os.path.abspath(path))
        self._pending.append((name, size, modified, self._software, _helps(report), report.to_json()))
        if time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Writes what was put."""
        if self._pending:
            with self._connection:  # a transaction, which ends here
                self._connection.executemany("INSERT OR REPLACE INTO scans VALUES (?, ?, ?, ?, ?, ?)", self._pending)
            self._pending = []
        self._flushed = time.monotonic()


@contextmanager
def scan_cache() -> Iterator[ScanCache]:
    """The user's cache, made where it is missing; a damaged one is put aside and begun anew.

    What this process reads of it afterwards, it reads anew.

    Raises:
        OSError: its directory cannot be made.
        sqlite3.Error: it cannot be written.
    """
    path = cache_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = _connected(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, read-only, no space: nothing is wrong with it
            raise
        os.replace(path, path.with_suffix(".damaged"))
        connection = _connected(path)
    with closing(connection):
        cache = ScanCache(connection)
        try:
            yield cache
        finally:
            cache.flush()
            _helpful.forget()


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_S)
    try:
        with connection:
            connection.execute(_TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def scanned(key: FileKey) -> ScanReport | None:
    """What a scan knows that makes reading this file faster; None for anything else.

    The cache is read once per process, and once more after a scan of its own. A missing one is none; a damaged one is
    none, with a line on stderr.
    """
    path, size, modified = key
    row = _helpful.rows().get(os.fsencode(os.path.abspath(path)))
    if row is None or row[:2] != (size, modified):
        return None
    return _parsed(row[2])


_Rows = dict[bytes, tuple[int, int, str]]  # path: bytes, time of change, report


class _Helpful:
    """The rows that make reading faster; about 0.4 KB each, loaded when the first video is read."""

    def __init__(self) -> None:
        self._loaded: tuple[Path, _Rows] | None = None
        self._lock = threading.Lock()

    def rows(self) -> _Rows:
        path = cache_path()
        with self._lock:
            if self._loaded is None or self._loaded[0] != path:
                self._loaded = path, _load(path)
            return self._loaded[1]

    def forget(self) -> None:
        with self._lock:
            self._loaded = None


_helpful = _Helpful()


def _load(path: Path) -> _Rows:
    if not path.exists():
        return {}
    try:
        # Not read-only: what a killed scan left half-written is rolled back first.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=WAIT_S)) as connection:
            rows = connection.execute(
                "SELECT path, bytes, modified_ns, report FROM scans WHERE helps AND software = ?", (software(),)
            )
            return {name: (size, modified, report) for name, size, modified, report in rows}
    except sqlite3.Error as error:
        print(f"warning: {path} cannot be read ({error}); videos are read as if never scanned", file=sys.stderr)
        return {}


def _helps(report: ScanReport) -> bool:
    """Whether knowing the report spares the reader anything."""
    return report.seeks_exactly or report.frames != report.claimed


def _parsed(text: str) -> ScanReport | None:
    try:
        return ScanReport.from_json(text)
    except (ValueError, TypeError, KeyError):
        return None
