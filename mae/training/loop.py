"""The training loop, one for every objective: step, log, evaluate, save."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mae.errors import Interrupted, TrainingStopped
from mae.training.pretraining import StepFunction
from mae.training.signals import StopRequest

Record = dict[str, Any]


@dataclass(frozen=True)
class Cadence:
    """How often things happen, in steps."""

    total_steps: int
    steps_per_epoch: int
    batch_size: int  # clips in a step
    log_every: int
    checkpoint_every: int
    evaluate_every: int | None  # None: at the end only

    def is_due(self, every: int | None, step: int) -> bool:
        """Whether something done `every` so many steps, and at the end, is done after `step` steps."""
        return step == self.total_steps or (every is not None and step % every == 0)


@dataclass(frozen=True)
class Hooks:
    """What the loop calls; each gets the number of steps made."""

    log: Callable[[Record], None]
    evaluate: Callable[[int], Record]
    save: Callable[[int], None]
    check_videos: Callable[[], None]  # raises `TrainingStopped` when too many videos are bad


def train(step_function: StepFunction, batches: Iterator[Any], first_step: int, cadence: Cadence, hooks: Hooks) -> None:
    """Trains from `first_step` to the end of the cadence.

    Raises:
        TrainingStopped: a loss or gradient that is not finite, before any update was made with it; too many bad
            videos. The checkpoints stay as they are.
        Interrupted: SIGINT or SIGTERM, after the state was saved.
    """
    meter = _Meter(cadence)
    with StopRequest() as stop:
        for step in range(first_step + 1, cadence.total_steps + 1):
            meter.add(*_timed_step(step_function, batches))
            stopping = stop.signum is not None
            saving = stopping or cadence.is_due(cadence.checkpoint_every, step)
            evaluating = not stopping and cadence.is_due(cadence.evaluate_every, step)
            # The first step is logged alone: it contains the compilation, which would spoil the first averages.
            # Before a save the last steps are looked at: nothing that is not finite gets into a checkpoint.
            if saving or evaluating or step == first_step + 1 or cadence.is_due(cadence.log_every, step):
                hooks.check_videos()
                record = meter.record(step)
                if evaluating:
                    record |= hooks.evaluate(step)
                hooks.log(record)
                if saving:
                    hooks.save(step)
                meter.restart_clock()
            if stopping:
                assert stop.signum is not None
                raise Interrupted(stop.signum, f"interrupted after step {step}; its state is saved")


def _timed_step(step_function: StepFunction, batches: Iterator[Any]) -> tuple[dict[str, Any], float]:
    """The step's scalars, still on the device, and the seconds its batch was waited for."""
    started = time.perf_counter()
    batch = next(batches)
    waited = time.perf_counter() - started
    return step_function(batch), waited


@dataclass
class _Clock:
    """Time since some moment, the steps made in it and how much of it was spent waiting for batches."""

    since: float
    steps: int = 0
    waited: float = 0.0  # seconds

    def seconds(self) -> float:
        return time.perf_counter() - self.since


class _Meter:
    """Collects the scalars of steps and turns them into one record per logging step."""

    def __init__(self, cadence: Cadence) -> None:
        self._cadence = cadence
        self._scalars: list[dict[str, Any]] = []
        self._clock = _Clock(time.perf_counter())
        self._compiling = True  # the first record's time is the compiler's: no speed follows from it
        self._bad_clips = 0

    def add(self, scalars: dict[str, Any], waited: float) -> None:
        self._scalars.append(scalars)
        self._clock.steps += 1
        self._clock.waited += waited

    def record(self, step: int) -> Record:
        """Means over the steps since the last record; reading them waits for the device.

        Raises:
            TrainingStopped: one of them was not finite.
        """
        values = {name: np.array([float(s[name]) for s in self._scalars]) for name in self._scalars[0]}
        self._raise_unless_finite(values, first_step=step - len(self._scalars) + 1)
        self._bad_clips += int(values["bad_clips"].sum())
        cadence, clock, seconds = self._cadence, self._clock, self._clock.seconds()
        record = {
            "step": step,
            "epoch": step / cadence.steps_per_epoch,
            "loss": values["loss"].mean(),
            "learning_rate": values["learning_rate"][-1],
            "weight_decay": values["weight_decay"][-1],
            "grad_norm": values["grad_norm"].mean(),
            "clips_per_second": None if self._compiling else clock.steps * cadence.batch_size / seconds,
            "step_ms": 1000 * seconds / clock.steps,
            "data_wait_fraction": clock.waited / seconds,
            "decode_ms": values["decode_ms"].mean(),
            "bad_clips": self._bad_clips,
            "eta_s": None if self._compiling else (cadence.total_steps - step) * seconds / clock.steps,
        }
        self._scalars = []
        self._compiling = False
        return record

    def restart_clock(self) -> None:
        """What follows is timed; what was done since the last record (evaluating, saving) is not."""
        self._clock = _Clock(time.perf_counter())

    @staticmethod
    def _raise_unless_finite(values: dict[str, np.ndarray], first_step: int) -> None:
        for i in range(len(values["loss"])):
            for name in ("loss", "grad_norm"):
                if not np.isfinite(values[name][i]):
                    raise TrainingStopped(
                        f"{name} is {values[name][i]} at step {first_step + i}; no update was made with it. "
                        "Try a lower learning_rate, optimizer.clip_grad_norm=1 or precision=float32"
                    )
