"""What a run needs from whoever computes.

An engine is a folder beside this file: it knows devices, processes, compilation and collectives, and nothing of what
is trained. What is trained, from losses to batches, knows nothing of engines: it is written in `keras.ops` and NumPy.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mae.engines.optimizer_config import OptimizerConfig
from mae.engines.parameter_groups import ParameterGroup
from mae.engines.workers import Workers
from mae.presets import Architecture

HostBatch = Mapping[str, np.ndarray]  # the rows of a step that this process reads
Batch = Mapping[str, Any]  # a part of a replica's rows, on its device
Losses = Callable[[Batch], Any]  # the loss of each clip, (b,) float32, in training
StepFunction = Callable[[Any], dict[str, Any]]  # a distributed batch → scalars, still on the device
Schedule = float | Callable[[Any], Any]  # of the update's number, from 0


@dataclass(frozen=True)
class Setup:
    """Which devices compute, and how."""

    strategy: str = "auto"  # in `mae.options.STRATEGIES`
    device: str = "auto"  # in `mae.options.DEVICES`: "cpu" hides the GPUs from the whole process
    deterministic: bool = False  # same results bit for bit, with slower kernels; for the whole process
    shard_weights: bool = False  # each device of a process keeps a part of every weight
    coordinator: str | None = None  # host:port of process 0 of several
    process: str | None = None  # index/count of this one among them


@dataclass(frozen=True)
class UpdateSettings:
    """How gradients become weights."""

    optimizer: OptimizerConfig
    learning_rate: Schedule
    weight_decay: Schedule
    max_skipped: int = 0  # updates in a row that may be left out as not finite
    loss_scale: float | None = None  # float16: the first one; None: losses are not scaled
    ema_decay: float | None = None  # of a moving average of the weights; None: none


@dataclass(frozen=True)
class StepSettings:
    """How a step is computed."""

    batch_size: int  # clips in an update, over all replicas and parts
    accumulate: int = 1  # parts that are computed one after the other
    jit: bool = False  # compile forward and backward with XLA


class Average(Protocol):
    """A moving average of the weights."""

    def restart(self) -> None:
        """Begins again with the present weights: after they were loaded from elsewhere."""

    def in_place(self) -> AbstractContextManager[None]:
        """Within it the model computes with the averages."""


class Optimizer(Protocol):
    """What updates the weights of a model, and the state that goes with it."""

    @property
    def groups(self) -> Sequence[ParameterGroup]: ...

    @property
    def average(self) -> Average | None: ...

    @property
    def variables(self) -> list[Any]:
        """The whole state, as Keras variables."""


class Engine(Protocol):
    """Devices, and what can be computed on all of them together."""

    name: str
    packages: tuple[str, ...]  # whose versions results depend on, beside Keras and NumPy
    compiles_replicas: bool  # whether a step of several replicas can be compiled by XLA

    @property
    def workers(self) -> Workers:
        """This process among those that train together."""

    @property
    def num_replicas(self) -> int:
        """Copies of the model that share a batch, over all workers."""

    @property
    def local_replicas(self) -> int:
        """Those of them on the devices of this process."""

    def describe_devices(self) -> str:
        """The devices of this process, for the console."""

    def device_memory(self) -> int | None:
        """Most bytes in use at a time on any device of this process; None where devices use the machine's memory."""

    def product(self, dtype: str, size: int) -> Callable[[int], None]:
        """What multiplies two matrices of `size` rows and columns so many times on one device, and waits for it."""

    def report_lost_workers(self) -> AbstractContextManager[None]:
        """Within it, errors that come of another worker's end are `TrainingStopped`."""

    def dtype_policy(self, precision: str) -> Any:
        """The Keras dtype policy of a name in `mae.options.PRECISIONS`; `auto` is what the devices are best at."""

    def suited(self, architecture: Architecture, given: Collection[str]) -> Architecture:
        """An architecture that computes attention and gradients as suits the devices.

        `given`: its sizes that the user chose, which stay.
        """

    def scope(self) -> AbstractContextManager[Any]:
        """Within it, variables are made for all replicas."""

    def optimizer(self, model: Any, settings: UpdateSettings) -> Optimizer:
        """For a built model; called within `scope`."""

    def step(self, model: Any, optimizer: Any, losses_of: Losses, settings: StepSettings) -> StepFunction:
        """A compiled step: one batch of `distribute` in, one update made, float32 scalars out.

        With `settings.accumulate` above 1 it takes what `distribute` gives with as many `parts`: they are computed one
        after the other, and no device holds them all. Gradients are reduced over replicas once.

        The loss is the sum of the clips' losses divided by the number of readable clips in the whole update, over all
        replicas and parts. Scalars are `loss`, `bad_clips`, `short_clips`, `decode_ms` (mean per clip), `grad_norm`
        (before clipping), `param_norm` (of the weights before the update), `learning_rate`, `weight_decay`,
        `skipped_steps`, `skipped_in_row`, `halted` and, in float16, `loss_scale`.
        """

    def distribute(self, batches: Iterator[HostBatch], parts: int = 1) -> Generator[Any]:
        """The batches as `step` takes them, one ahead of the one that is asked for; to be closed when left early.

        `parts`: that each replica's rows of a batch are handed over in, one of them ahead.
        """

    def scalars(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Scalars of a step as numbers; waits for the devices."""

    def inference(self, model: Any, function: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
        """`function` of normalised videos as a compiled function of clips, on all devices of this process.

        It takes (b, T, H, W, c) uint8, any b, of which the devices compute equal shares, so a multiple of their number
        is best. It gives what `function` returns, a tensor or a tuple of them whose first axis is b, as float32 arrays
        in the order of the clips. A worker may call it without the others.
        """

    def local(self, model: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` of tensors as a function of arrays, on one device of this process, for whatever reads a model.

        It may be compiled when it is first called, and again for other shapes, so make it once. A worker may call it
        without the others.
        """

    def read(self, variables: Sequence[Any]) -> list[np.ndarray]:
        """The values of Keras variables."""

    def assign(self, variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
        """Gives Keras variables new values, on all replicas."""
