"""The processes that train one model together, mostly one: who of them writes, and how they agree.

Every process computes the same updates. One, the chief, also writes the run directory, talks to W&B and to the
terminal. What only one of them can know (a signal, a full disk) is exchanged, so that all stop at the same step.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from mae.engines.tensorflow.strategy import describe_devices
from mae.errors import ConfigError, TrainingStopped

_MISTAKE, _STOP = 1, 2  # kinds of errors that are told to the others

Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """One process' place among those of its strategy."""

    strategy: tf.distribute.Strategy
    index: int = 0
    count: int = 1
    _exchange: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.count > 1:
            object.__setattr__(self, "_exchange", _exchange(self.strategy))

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def say(self, text: str) -> None:
        """Prints on the chief."""
        if self.is_chief:
            print(text, flush=True)

    def gather(self, value: int) -> list[int]:
        """The values of all workers, in their order. All have to call it, as often as each other."""
        if self.count == 1:
            return [value]
        mine = np.zeros(self.count, np.int64)
        mine[self.index] = value
        local = self.strategy.num_replicas_in_sync // self.count  # each replica adds the same
        return [int(total) // local for total in self._exchange(tf.constant(mine)).numpy()]

    def agree(self, signum: int | None) -> int | None:
        """A signal that any worker got, for the one that this worker got."""
        return max(self.gather(signum or 0)) or None

    def together(self, action: Callable[[], Result]) -> Result:
        """Does something on each worker and waits for the others; where it fails on one, it fails on all.

        Raises:
            ConfigError, TrainingStopped: what `action` raised here or, with other words, on another worker.
        """
        failure: ConfigError | TrainingStopped | None = None
        result: Any = None
        try:
            result = action()
        except (ConfigError, TrainingStopped) as error:
            failure = error
        kinds = self.gather(0 if failure is None else _MISTAKE if isinstance(failure, ConfigError) else _STOP)
        if failure is not None:
            raise failure
        failed = [i for i, kind in enumerate(kinds) if kind]
        if failed:
            kind = ConfigError if kinds[failed[0]] == _MISTAKE else TrainingStopped
            raise kind(f"worker {failed[0]} of {self.count} stopped; its own output says why")
        return result

    def chief_first(self, action: Callable[[], Result]) -> Result:
        """`together`, but the others begin once the chief is done: it may leave files for them."""
        first = self.together(lambda: action() if self.is_chief else None)
        later = self.together(lambda: None if self.is_chief else action())
        result = first if self.is_chief else later
        assert result is not None
        return result

    def check_same(self, what: str, value: int) -> None:
        """Raises `ConfigError` on all unless `value` is the same everywhere; `what` goes into the message."""
        values = self.gather(value)
        if len(set(values)) > 1:
            raise ConfigError(
                f"the workers differ in {what} ({', '.join(map(str, values))}): see docs/several_machines.md"
            )

    @contextmanager
    def losing_others(self) -> Iterator[None]:
        """Turns the errors that TensorFlow raises when another worker is gone into `TrainingStopped`."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.count == 1:
                raise
            reason = str(error).splitlines()[0]
            raise TrainingStopped(
                f"worker {self.index} of {self.count} lost the others ({reason}); the same command on all machines "
                "goes on from the last checkpoint"
            ) from error

    def describe(self) -> str:
        """What this process is, for its own output."""
        role = "the chief: writes the run directory and logs" if self.is_chief else "computes only"
        devices = describe_devices(self.strategy, self.count)
        return f"worker {self.index} of {self.count} on {socket.gethostname()}: {role}; {devices}"


def connected_workers(strategy: tf.distribute.Strategy) -> Workers:
    """This process among those of `strategy`."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Workers(strategy)
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().as_dict()
    before = len(jobs.get("chief", [])) if resolver.task_type == "worker" else 0
    return Workers(strategy, before + int(resolver.task_id), sum(len(tasks) for tasks in jobs.values()))


def _exchange(strategy: tf.distribute.Strategy) -> Any:
    def summed(value: tf.Tensor) -> tf.Tensor:
        # A tensor that is computed has a device, which the reduction asks for; an argument has none.
        value = tf.identity(value)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int64)], autograph=False)
    def exchange(value: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(summed, args=(value,)))[0]

    return exchange
