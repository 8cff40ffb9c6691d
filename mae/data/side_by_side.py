"""A function over many items in threads that never keep the process from ending."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int, wait_s: float
) -> Iterator[tuple[Item, Result] | None]:
    """Items with their results as they become ready; None whenever nothing did for `wait_s` seconds.

    What the function raises is raised here. When the iteration is left early, no further item is begun; those that
    have been go on in threads that end with the process.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    ready: queue.SimpleQueue[tuple[Any, Any, BaseException | None]] = queue.SimpleQueue()
    is_over = threading.Event()
    for item in items:
        waiting.put(item)

    def work() -> None:
        while not is_over.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                ready.put((item, function(item), None))
            except BaseException as error:
                is_over.set()
                ready.put((item, None, error))

    for number in range(min(threads, len(items))):
        threading.Thread(target=work, daemon=True, name=f"side by side {number}").start()
    done = 0
    try:
        while done < len(items):
            try:
                item, result, error = ready.get(timeout=wait_s)
            except queue.Empty:
                yield None
                continue
            if error is not None:
                raise error
            done += 1
            yield item, result
    finally:
        is_over.set()
