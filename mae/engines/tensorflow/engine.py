"""TensorFlow's engine: `tf.distribute` on the devices of one machine or several."""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mae.checkpoints.run_state import assign_variables, read_variables
from mae.engines.engine import HostBatch, Losses, Setup, StepFunction, StepSettings, UpdateSettings
from mae.engines.nvidia import check_gpu_is_seen
from mae.engines.optimizer import Optimizer
from mae.engines.tensorflow.distribute import distributed
from mae.engines.tensorflow.inference import compiled
from mae.engines.tensorflow.replicas import StrategyReplicas
from mae.engines.tensorflow.step import update_step
from mae.engines.tensorflow.strategy import (
    compute_dtype,
    describe_devices,
    make_strategy,
    most_bytes_in_use,
    product,
    suited_to_devices,
)
from mae.engines.tensorflow.workers import connected_workers, report_lost_workers
from mae.engines.workers import Workers
from mae.presets import Architecture


def start(setup: Setup) -> "TensorFlowEngine":
    """The engine for these devices (see `make_strategy`); with several workers, once all of them are there.

    Raises:
        ConfigError: the machine has no such devices.
        UnusedDevice: see `check_gpu_is_seen`.
    """
    if setup.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif setup.strategy != "tpu":
        check_gpu_is_seen("TensorFlow", bool(tf.config.get_visible_devices("GPU")), "gpu")
    if setup.deterministic:
        tf.config.experimental.enable_op_determinism()
    return TensorFlowEngine(make_strategy(setup.strategy))


class TensorFlowEngine:
    """See `mae.engines.engine.Engine`, whose methods these are."""

    name = "tensorflow"
    packages: tuple[str, ...] = ("tensorflow",)
    compiles_replicas = False

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        self.workers: Workers = connected_workers(strategy)

    @property
    def num_replicas(self) -> int:
        return self.strategy.num_replicas_in_sync

    @property
    def local_replicas(self) -> int:
        return self.num_replicas // self.workers.count

    def describe_devices(self) -> str:
        return describe_devices(self.strategy, self.workers.count)

    def device_memory(self) -> int | None:
        return most_bytes_in_use()

    def product(self, dtype: str, size: int) -> Callable[[int], None]:
        return product(self.strategy, dtype, size)

    def report_lost_workers(self) -> AbstractContextManager[None]:
        return report_lost_workers(self.workers)

    def dtype_policy(self, precision: str) -> keras.dtype_policies.DTypePolicy:
        return compute_dtype(precision)

    def suited(self, architecture: Architecture, given: Collection[str]) -> Architecture:
        return suited_to_devices(architecture, given)

    def scope(self) -> AbstractContextManager[Any]:
        return self.strategy.scope()

    def optimizer(self, model: keras.Model, settings: UpdateSettings) -> Optimizer:
        return Optimizer.for_model(model, settings, StrategyReplicas())

    def step(self, model: keras.Model, optimizer: Any, losses_of: Losses, settings: StepSettings) -> StepFunction:
        return update_step(self.strategy, model, optimizer, losses_of, settings)

    def distribute(self, batches: Iterator[HostBatch], parts: int = 1) -> Generator[Any]:
        return distributed(self.strategy, batches, parts)

    def scalars(self, values: Mapping[str, Any]) -> dict[str, float]:
        return {name: float(value) for name, value in values.items()}

    def inference(self, model: Any, function: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
        return compiled(self.strategy, model, function)

    def local(self, model: keras.Model, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arrays: tf.nest.map_structure(np.asarray, function(*map(tf.convert_to_tensor, arrays)))

    def read(self, variables: Sequence[keras.Variable]) -> list[np.ndarray]:
        return read_variables(variables)

    def assign(self, variables: Sequence[keras.Variable], arrays: Sequence[np.ndarray]) -> None:
        assign_variables(variables, arrays)
