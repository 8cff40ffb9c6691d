"""The training loop, one for every objective: step, log, evaluate, save."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mae.errors import Interrupted
from mae.signals import StopRequest
from mae.training.meter import Cadence, Meter, MeterState, Record

StepFunction = Callable[[Any], dict[str, Any]]  # a batch → scalars, still on the device; see `Meter`


@dataclass(frozen=True)
class Hooks:
    """What the loop calls; steps are the number of steps made."""

    log: Callable[[Record], None]
    evaluate: Callable[[int], Record]
    save: Callable[[int, MeterState], None]
    check: Callable[[], None]  # raises `TrainingStopped` when training must not go on, for too many bad videos say
    agree: Callable[[int | None], int | None]  # the signal that any of the machines got, for the one this process got


def train(
    step_function: StepFunction,
    batches: Iterator[Any],
    first_step: int,
    cadence: Cadence,
    hooks: Hooks,
    meter_state: MeterState | None = None,
) -> None:
    """Trains from `first_step`, whose checkpoint held `meter_state`, to the end of the cadence.

    What is logged depends on the steps alone, not on where a run was interrupted; only an evaluation that is due
    after the very step a signal came in is left out, unless it is the last.

    Raises:
        TrainingStopped: losses or gradients that are not finite, before any update was made with them; what
            `hooks.check` and `hooks.save` raise. The checkpoints stay as they are.
        Interrupted: SIGINT or SIGTERM, after the state was saved.
    """
    meter = Meter(cadence, meter_state)
    with StopRequest() as stop:
        for step in range(first_step + 1, cadence.total_steps + 1):
            meter.add(*_timed_step(step_function, batches))
            signum = hooks.agree(stop.signum)
            evaluation_due = cadence.is_evaluated(step)
            evaluating = evaluation_due and (signum is None or step == cadence.total_steps)
            saving = cadence.is_due(cadence.checkpoint_every, step)
            # The first step is logged alone: it contains the compilation, which would spoil the first averages.
            logging = saving or evaluation_due or step == 1 or cadence.is_due(cadence.log_every, step)
            if logging or signum is not None:
                hooks.check()
                meter.check(step)  # nothing that is not finite gets into a checkpoint
            if logging:
                record = meter.record(step)
                if evaluating:
                    record |= hooks.evaluate(step)
                    signum = hooks.agree(stop.signum)
                hooks.log(record)
                meter.restart_clock()
            if saving or signum is not None:
                hooks.save(step, meter.state)
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
