"""Frame counts of files that somebody has looked into."""

import threading
from collections.abc import Hashable


class KnownCounts:
    """A count by what identifies a file's content and its decoder; the oldest are forgotten. Safe between threads."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._counts: dict[Hashable, int] = {}
        self._capacity = capacity
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> int | None:
        with self._lock:
            return self._counts.get(key)

    def put(self, key: Hashable, count: int) -> None:
        with self._lock:
            self._counts[key] = count
            if len(self._counts) > self._capacity:
                del self._counts[next(iter(self._counts))]
