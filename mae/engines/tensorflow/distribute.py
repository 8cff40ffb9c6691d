"""Batches of the host, handed to the devices that compute with them."""

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mae.data.one_ahead import one_ahead


def distributed(strategy: tf.distribute.Strategy, batches: Iterator[Mapping[str, np.ndarray]]) -> Generator[Any]:
    """Batches as `strategy.run` takes them; the next one is handed over while the one before is computed on.

    Each replica of this process gets an equal share of consecutive rows, in the order of the replicas. With one
    replica that is the whole batch. Types stay what they are, and all batches of the same shapes need one tracing.
    To be closed when it is left early.

    Raises:
        ValueError: the rows of a batch cannot be shared equally. What `batches` raises is raised here.
    """
    devices = strategy.extended.worker_devices  # of this process

    def share_of(batch: Mapping[str, np.ndarray], replica: int) -> dict[str, tf.Tensor]:
        with tf.device(devices[replica]):
            return {name: tf.constant(_share(name, value, replica, len(devices))) for name, value in batch.items()}

    def hand_over(batch: Mapping[str, np.ndarray]) -> Any:
        if len(devices) == 1:
            return share_of(batch, 0)
        return strategy.experimental_distribute_values_from_function(
            lambda context: share_of(batch, context.replica_id_in_sync_group % len(devices))
        )

    return one_ahead(batches, hand_over)


def _share(name: str, value: np.ndarray, replica: int, replicas: int) -> np.ndarray:
    rows, left = divmod(len(value), replicas)
    if left:
        raise ValueError(f"{name} has {len(value)} rows, which {replicas} replicas cannot share equally")
    return value[replica * rows : (replica + 1) * rows]
