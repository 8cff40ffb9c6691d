"""The next item made ready in a thread while the one before it is used."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_END: Any = object()


def one_ahead(items: Iterator[Item], function: Callable[[Item], Result]) -> Generator[Result]:
    """The function's results, in the order of the items; one thread gets an item and calls the function on it.

    What either raises is raised where the result would have come. When the iterator is closed early, the thread ends
    after the result it is at, and the items are let go of.
    """

    def following() -> Any:
        item = next(items, _END)
        return item if item is _END else function(item)

    pool = ThreadPoolExecutor(1, thread_name_prefix="one ahead")
    try:
        begun = pool.submit(following)
        while (result := begun.result()) is not _END:
            begun = pool.submit(following)
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
