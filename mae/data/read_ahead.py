"""Reading videos in threads, a few ahead of what is computed, in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from mae.data.videos.read import keep_freed_memory, pin_threads
from mae.errors import BadVideo

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Result], workers: int = 0
) -> Iterator[tuple[Item, Result | BadVideo]]:
    """Each item with what `read` gives for it, or with the `BadVideo` it raises; in the order of the items.

    Args:
        workers: threads; 0: one per CPU core. One item more than that is held in memory at most. Side effect:
            OpenCV's own threads are switched off in this process.
    """
    pin_threads()
    keep_freed_memory()
    workers = workers or os.cpu_count() or 1
    left = iter(items)
    pending: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                for item in left:
                    pending.append((item, pool.submit(read, item)))
                    if len(pending) > workers:
                        break
                if not pending:
                    return
                item, future = pending.popleft()
                try:
                    result: Result | BadVideo = future.result()
                except BadVideo as error:
                    result = error
                yield item, result
        finally:
            for _, future in pending:
                future.cancel()
