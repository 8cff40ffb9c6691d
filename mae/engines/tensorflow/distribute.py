"""Batches of the host, handed to the devices that compute with them."""

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mae.data.one_ahead import one_ahead
from mae.engines.parts import in_groups, share_of


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

    def rows_of(batch: Mapping[str, np.ndarray], part: int, replica: int) -> dict[str, tf.Tensor]:
        made = {}
        with tf.device(devices[replica]):
            for name, value in batch.items():
                share = share_of(name, value, replica, len(devices), "replicas")
                made[name] = tf.constant(share_of(name, share, part, parts, "parts"))
        return made

    def hand_over(batch_and_part: tuple[Mapping[str, np.ndarray], int]) -> Any:
        batch, part = batch_and_part
        if len(devices) == 1:
            return rows_of(batch, part, 0)
        return strategy.experimental_distribute_values_from_function(
            lambda context: rows_of(batch, part, context.replica_id_in_sync_group % len(devices))
        )

    handed = one_ahead(((batch, part) for batch in batches for part in range(parts)), hand_over)
    return handed if parts == 1 else in_groups(handed, parts)
