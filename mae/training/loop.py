"""The training loop, one for every objective: step, log, evaluate, save."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from mae.engines.engine import StepFunction
from mae.errors import Interrupted
from mae.signals import StopRequest
from mae.training.meter import Cadence, Meter, MeterState, Record


class Run(Protocol):
    """What the loop does its work with; steps are the number of steps made."""

    def scalars(self, values: Mapping[str, Any]) -> dict[str, float]:
        """What a step gave, as numbers; waits for the device."""

    def log(self, record: Record) -> None: ...

    def evaluate(self, step: int) -> Record: ...

    def save(self, step: int, meter: MeterState) -> None: ...

    def check(self) -> None:
        """Raises `TrainingStopped` when training must not go on, for too many bad videos say."""

    def agree(self, signum: int | None) -> int | None:
        """The signal that any of the machines got, for the one that this process got."""


def train(
    run: Run,
    step_function: StepFunction,
    batches: Iterator[Any],
    first_step: int,
    cadence: Cadence,
    meter_state: MeterState | None = None,
) -> None:
    """Trains from `first_step`, whose checkpoint held `meter_state`, to the end of the cadence.

    What is logged depends on the steps alone, not on where a run was interrupted; only an evaluation that is due
    after the very step a signal came in is left out, unless it is the last.

    Raises:
        TrainingStopped: losses or gradients that are not finite, before any update was made with them; what
            `run.check` and `run.save` raise. The checkpoints stay as they are.
        Interrupted: SIGINT or SIGTERM, after the state was saved.
    """
    meter = Meter(cadence, run.scalars, meter_state)
    with StopRequest() as stop:
        for step in range(first_step + 1, cadence.total_steps + 1):
            meter.add(*_timed_step(step_function, batches))
            signum = run.agree(stop.signum)
            evaluation_due = cadence.is_evaluated(step)
            evaluating = evaluation_due and (signum is None or step == cadence.total_steps)
            saving = cadence.is_due(cadence.checkpoint_every, step)
            # The first step is logged alone: it contains the compilation, which would spoil the first averages.
            logging = saving or evaluation_due or step == 1 or cadence.is_due(cadence.log_every, step)
            if logging or signum is not None:
                run.check()
                meter.check(step)  # nothing that is not finite gets into a checkpoint
            if logging:
                record = meter.record(step)
                if evaluating:
                    record |= run.evaluate(step)
                    signum = run.agree(stop.signum)
                run.log(record)
                meter.restart_clock()
            if saving or signum is not None:
                run.save(step, meter.state)
            if signum is not None:
                raise Interrupted(signum, f"interrupted after step {step}; its state is saved")
            if saving or step == first_step + 1:
                meter.restart_clock()


def _timed_step(step_function: StepFunction, batches: Iterator[Any]) -> tuple[dict[str, Any], float]:
    """The step's scalars, still on the device, and the seconds its batch was waited for."""
    started = time.perf_counter()
    batch = next(batches)
    waited = time.perf_counter() - started
    return step_function(batch), waited
