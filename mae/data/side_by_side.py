"""A function over many items, as many at a time as there is somebody to work."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import Any, TypeVar

from mae.data.executors import Workers, result_of
from mae.errors import BadVideo

_WAIT_S = 1.0

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


def in_groups(
    function: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item], workers: Workers, size: int
) -> Iterator[tuple[Item, Result | BadVideo]]:
    """As `side_by_side` for a function that takes several items at a time, `size` of them at most.

    Those of a group that ends in `BadVideo` are tried again one by one.
    """
    groups = [items[first : first + size] for first in range(0, len(items), size)]
    alone: list[Sequence[Item]] = []
    for these in (groups, alone):
        for pair in side_by_side(function, these, workers, _WAIT_S):
            if pair is None:
                continue
            group, results = pair
            if not isinstance(results, BadVideo):
                yield from zip(group, results, strict=True)
            elif len(group) > 1:
                alone += [[item] for item in group]
            else:
                yield group[0], results
