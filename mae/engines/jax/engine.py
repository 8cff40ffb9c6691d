"""JAX's engine: steps compiled by XLA for the devices of one machine or several."""

import os
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import keras
import numpy as np

from mae.engines.engine import HostBatch, Losses, Setup, StepFunction, StepSettings, UpdateSettings
from mae.engines.jax.devices import (
    chosen_devices,
    compute_dtype,
    describe_devices,
    most_bytes_in_use,
    prepare,
    product,
    suited_to_devices,
)
from mae.engines.jax.distribute import distributed
from mae.engines.jax.inference import compiled, local
from mae.engines.jax.placement import Placement
from mae.engines.jax.processes import connect, connected_workers, report_lost_workers
from mae.engines.jax.step import WholeArrays, update_step
from mae.engines.nvidia import check_gpu_is_seen
from mae.engines.optimizer import Optimizer
from mae.engines.workers import Workers
from mae.presets import Architecture


def start(setup: Setup) -> "JaxEngine":
    """The engine for these devices; with several processes, once all of them are there.

    Raises:
        ConfigError: the machine has no such devices.
        UnusedDevice: see `check_gpu_is_seen`.
    """
    prepare(setup.deterministic, setup.device)
    if setup.strategy == "multiworker":
        connect(setup.coordinator, setup.process)
    if setup.strategy != "tpu" and "cpu" not in (setup.device, os.environ.get("JAX_PLATFORMS")):
        check_gpu_is_seen("JAX", jax.default_backend() != "cpu", "jax-cuda")
    return JaxEngine(chosen_devices(setup.strategy), setup.shard_weights)


class JaxEngine:
    """See `mae.engines.engine.Engine`, whose methods these are."""

    name = "jax"
    packages: tuple[str, ...] = ("jax",)
    compiles_replicas = True

    def __init__(self, devices: list[jax.Device], shard_weights: bool = False) -> None:
        self._devices = devices
        self._placement = Placement(devices, shard_weights)
        self.workers: Workers = connected_workers()

    @property
    def num_replicas(self) -> int:
        return self._placement.num_replicas

    @property
    def local_replicas(self) -> int:
        return self.num_replicas // self.workers.count

    def describe_devices(self) -> str:
        return describe_devices(self._devices, self.workers.count)

    def device_memory(self) -> int | None:
        return most_bytes_in_use(self._placement.local_devices)

    def product(self, dtype: str, size: int) -> Callable[[int], None]:
        return product(self._placement.local_devices[0], dtype, size)

    def report_lost_workers(self) -> AbstractContextManager[None]:
        return report_lost_workers(self.workers)

    def dtype_policy(self, precision: str) -> keras.dtype_policies.DTypePolicy:
        return compute_dtype(precision, self._devices)

    def suited(self, architecture: Architecture, given: Collection[str]) -> Architecture:
        return suited_to_devices(architecture, given, self._devices)

    def scope(self) -> AbstractContextManager[Any]:
        return nullcontext()  # variables are moved to where they belong once they are used

    def optimizer(self, model: keras.Model, settings: UpdateSettings) -> Optimizer:
        return Optimizer.for_model(model, settings, WholeArrays())

    def step(self, model: keras.Model, optimizer: Any, losses_of: Losses, settings: StepSettings) -> StepFunction:
        return update_step(self._placement, model, optimizer, losses_of, settings)

    def distribute(self, batches: Iterator[HostBatch], parts: int = 1) -> Generator[Any]:
        return distributed(self._placement, batches, parts)

    def scalars(self, values: Mapping[str, Any]) -> dict[str, float]:
        return {name: float(value) for name, value in values.items()}

    def inference(self, model: Any, function: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
        return compiled(self._placement, model, function)

    def local(self, model: keras.Model, function: Callable[..., Any]) -> Callable[..., Any]:
        return local(self._placement, model, function)

    def read(self, variables: Sequence[keras.Variable]) -> list[np.ndarray]:
        return self._placement.read(variables)

    def assign(self, variables: Sequence[keras.Variable], arrays: Sequence[np.ndarray]) -> None:
        self._placement.assign(variables, arrays)
