"""The list of videos that could not be read, kept beside the run."""

import csv
import threading
from pathlib import Path

from mae.errors import TrainingStopped

HEADER = ("path", "reason")


class BadVideos:
    """Distinct unreadable videos, each a line of `bad_videos.csv`. Safe between threads.

    A file left by an earlier part of the run is read first, so its videos count and are not written again. It is
    made when the first bad video is met.

    Args:
        csv_path: the file; None keeps the list in memory only.
        listed: videos in the list of the run.
        max_fraction: of them that may be bad.
        option: how a user says that.
    """

    def __init__(
        self, csv_path: Path | None, listed: int, max_fraction: float, option: str = "data.max_bad_frac"
    ) -> None:
        self._csv_path = csv_path
        self._listed = listed
        self._max_fraction = max_fraction
        self._option = option
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {} if csv_path is None else _read(csv_path)

    @property
    def count(self) -> int:
        """Distinct bad videos, earlier parts of the run included."""
        with self._lock:
            return len(self._reasons)

    @property
    def reasons(self) -> dict[str, str]:
        """Path and reason of each."""
        with self._lock:
            return dict(self._reasons)

    def record(self, path: str, reason: str) -> None:
        """Notes a bad video; one that is noted already changes nothing."""
        with self._lock:
            if path in self._reasons:
                return
            self._reasons[path] = reason
            if self._csv_path is not None:
                _append(self._csv_path, path, reason)

    def raise_if_too_many(self) -> None:
        """Raises `TrainingStopped` when more than the allowed fraction of the list is bad."""
        with self._lock:
            count = len(self._reasons)
            if count <= self._max_fraction * self._listed:
                return
            path, reason = next(iter(self._reasons.items()))
        where = "" if self._csv_path is None else f" Those found are in {self._csv_path}: once repaired, delete it."
        raise TrainingStopped(
            f"{count} of {self._listed} videos cannot be read, more than {self._option}={self._max_fraction:g} "
            f"allows; the first: {path} ({reason}). Repair them or raise {self._option}.{where}"
        )


def _read(csv_path: Path) -> dict[str, str]:
    if not csv_path.exists():
        return {}
    # File names need not be valid UTF-8; surrogates bring them back unchanged.
    with csv_path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == 2 and tuple(row) != HEADER]
    return dict(rows)


def _append(csv_path: Path, path: str, reason: str) -> None:
    """Adds a line, after a header where the file is new and on a line of its own where a crash cut the last one."""
    csv_path.parent.mkdir(parents=True, exist_ok=True)
    with csv_path.open("a+", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(HEADER)
        elif not csv_path.read_bytes().endswith(b"\n"):
            file.write("\n")
        writer.writerow((path, reason))
