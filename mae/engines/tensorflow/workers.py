"""The processes of a strategy: TensorFlow's collectives add up what each of them knows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from mae.engines.workers import Workers


def connected_workers(strategy: tf.distribute.Strategy) -> Workers:
    """This process among those of `strategy`."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Workers()
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().as_dict()
    before = len(jobs.get("chief", [])) if resolver.task_type == "worker" else 0
    count = sum(len(tasks) for tasks in jobs.values())
    return Workers(before + int(resolver.task_id), count, _sum_over(strategy, count))


@contextmanager
def report_lost_workers(workers: Workers) -> Iterator[None]:
    """Turns the errors that TensorFlow raises when another worker is gone into `TrainingStopped`."""
    try:
        yield
    except tf.errors.OpError as error:
        if workers.count == 1:
            raise
        raise workers.lost(error) from error


def _sum_over(strategy: tf.distribute.Strategy, count: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function that adds up int64 values over `count` processes."""
    replicas = strategy.num_replicas_in_sync // count  # of a process; each adds the same

    def summed(value: tf.Tensor) -> tf.Tensor:
        # A tensor that is computed has a device, which the reduction asks for; an argument has none.
        value = tf.identity(value)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int64)], autograph=False)
    def exchange(value: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(summed, args=(value,)))[0]

    return lambda values: exchange(tf.constant(values)).numpy() // replicas
