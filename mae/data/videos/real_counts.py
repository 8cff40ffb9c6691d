"""How many frames decode, of the files that claim another number."""

import threading

from mae.data.videos.file_key import FileKey


class RealCounts:
    """Frame counts of the files whose claim was found wrong; the oldest are forgotten. Safe between threads."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._counts: dict[FileKey, int] = {}
        self._capacity = capacity
        self._lock = threading.Lock()

    def get(self, key: FileKey) -> int | None:
        with self._lock:
            return self._counts.get(key)

    def put(self, key: FileKey, count: int) -> None:
        with self._lock:
            self._counts[key] = count
            if len(self._counts) > self._capacity:
                del self._counts[next(iter(self._counts))]
