"""Host batches as a strategy's replicas take them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from mae.engines.engine import HostBatch


def distributed(strategy: tf.distribute.Strategy, batches: Iterator[HostBatch]) -> Iterator[Any]:
    """interim"""
    if strategy.num_replicas_in_sync == 1:
        for batch in batches:
            yield {name: tf.convert_to_tensor(value) for name, value in batch.items()}
        return
    for batch in batches:
        local = len(strategy.extended.worker_devices)
        split = {name: np.split(value, local) for name, value in batch.items()}
        yield {
            name: strategy.experimental_distribute_values_from_function(
                lambda ctx, parts=parts, n=local: tf.constant(parts[ctx.replica_id_in_sync_group % n])
            )
            for name, parts in split.items()
        }
