"""Batches of the host, handed to the devices that compute with them."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
import tensorflow as tf

from mae.data.one_ahead import one_ahead


def distributed(
    strategy: tf.distribute.Strategy, batches: Iterator[Mapping[str, np.ndarray]], parts: int = 1
) -> Generator[Any]:
    """Batches as `strategy.run` takes them; the next one is handed over while the one before is computed on.

    Each replica of this process gets an equal share of consecutive rows, in the order of the replicas. With one
    replica that is the whole batch. Types stay what they are, and all batches of the same shapes need one tracing.
    To be closed when it is left early.

    With several `parts` each batch is an iterator of so many, to be gone through before the next batch is asked for.
    A part has consecutive rows of each share. The devices hold no more than the part that is computed on and the one
    after it.

    Raises:
        ValueError: the rows of a batch cannot be shared equally. What `batches` raises is raised here.
    """
    devices = strategy.extended.worker_devices  # of this process

    def share_of(batch: Mapping[str, np.ndarray], part: int, replica: int) -> dict[str, tf.Tensor]:
        made = {}
        with tf.device(devices[replica]):
            for name, value in batch.items():
                share = _equal(name, value, replica, len(devices), "replicas")
                made[name] = tf.constant(_equal(name, share, part, parts, "parts"))
        return made

    def hand_over(batch_and_part: tuple[Mapping[str, np.ndarray], int]) -> Any:
        batch, part = batch_and_part
        if len(devices) == 1:
            return share_of(batch, part, 0)
        return strategy.experimental_distribute_values_from_function(
            lambda context: share_of(batch, part, context.replica_id_in_sync_group % len(devices))
        )

    handed = one_ahead(((batch, part) for batch in batches for part in range(parts)), hand_over)
    return handed if parts == 1 else _in_groups(handed, parts)


def _in_groups(items: Generator[Any], size: int) -> Generator[Iterator[Any]]:
    """So many consecutive items at a time; the first of them is there when its group is."""
    with closing(items):
        for first in items:
            ready = [first]
            del first  # whoever gets it is the only one to hold it
            yield _group(ready, islice(items, size - 1))


def _group(ready: list[Any], following: Iterator[Any]) -> Iterator[Any]:
    yield ready.pop()
    yield from following


def _equal(name: str, value: np.ndarray, index: int, count: int, what: str) -> np.ndarray:
    """One of `count` equal runs of rows."""
    rows, left = divmod(len(value), count)
    if left:
        raise ValueError(f"{name} has {len(value)} rows, which {count} {what} cannot share equally")
    return value[index * rows : (index + 1) * rows]
