"""A function over many items, as many at a time as there is somebody to work."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import Any, TypeVar

from mae.data.executors import Workers, result_of
from mae.errors import BadVideo

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    function: Callable[[Item], Result], items: Iterable[Item], workers: Workers, wait_s: float
) -> Iterator[tuple[Item, Result | BadVideo] | None]:
    """Items with their results, or the `BadVideo` that was raised, as they are ready; None where none is for `wait_s`.

    What else the function raises is raised here. When the iteration is left early, what has not been begun is not.

    Args:
        wait_s: seconds.
    """
    left = iter(items)
    working: dict[Future[Any], Item] = {}
    try:
        while True:
            for item in islice(left, workers.at_once - len(working)):
                working[workers.executor.submit(function, item)] = item
            if not working:
                return
            finished = wait(working, wait_s, FIRST_COMPLETED).done
            if not finished:
                yield None
            for future in finished:
                item = working.pop(future)
                try:
                    result = result_of(future)
                except BadVideo as error:
                    result = error
                yield item, result
    finally:
        for future in working:
            future.cancel()
