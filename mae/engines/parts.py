"""A batch of the host, cut into the shares of replicas and these into parts."""

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np


def share_of(name: str, rows: np.ndarray, index: int, count: int, what: str) -> np.ndarray:
    """One of `count` equal runs of rows; raises `ValueError` where they cannot be equal."""
    length, left = divmod(len(rows), count)
    if left:
        raise ValueError(f"{name} has {len(rows)} rows, which {count} {what} cannot share equally")
    return rows[index * length : (index + 1) * length]


def in_groups(items: Generator[Any], size: int) -> Generator[Iterator[Any]]:
    """So many consecutive items at a time; the first of them is there when its group is."""
    with closing(items):
        for first in items:
            ready = [first]
            del first  # whoever gets it is the only one to hold it
            yield _group(ready, islice(items, size - 1))


def _group(ready: list[Any], following: Iterator[Any]) -> Iterator[Any]:
    yield ready.pop()
    yield from following
