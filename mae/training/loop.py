"""The training loop, one for every objective: step, log, evaluate, save."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from mae.engines.engine import StepFunction
from mae.errors import Interrupted
from mae.signals import Check, StopRequest
from mae.training.meter import Cadence, Meter, MeterState, Record


class Run(Protocol):
    """What the loop does its work with; steps are the number of steps made."""

    def scalars(self, values: Mapping[str, Any]) -> dict[str, float]:
        """What a step gave, as numbers; waits for the device."""

    def note_step(self, step: int) -> None:
        """A step is on its way, for whoever watches; its device may still be computing."""

    def log(self, record: Record) -> None: ...

    def evaluate(self, step: int, check: Check) -> Record:
        """What is looked at after a step; calls `check` between its parts.

        Raises:
            Interrupted: what `check` raised on any of the machines.
        """

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
    stop: StopRequest | None = None,
) -> None:
    """Trains from `first_step`, whose checkpoint held `meter_state`, to the end of the cadence.

    What is logged depends on the steps alone, not on where a run was interrupted. A signal gives an evaluation up: the
    record it belongs to is saved with the state, and the run that goes on begins by making up for the evaluation.

    Args:
        stop: which signals end the training, and whether SIGUSR1 is answered by saving alone.

    Raises:
        TrainingStopped: losses or gradients that are not finite, before any update was made with them; what
            `run.check` and `run.save` raise. The checkpoints stay as they are.
        Interrupted: a signal that ends it, after the state was saved.
    """
    meter = Meter(cadence, run.scalars, meter_state)
    with stop or StopRequest() as stop:
        if meter.unlogged is not None:
            signum = _look_and_log(run, meter, first_step, stop)
            run.save(first_step, meter.state)
            _raise_if_interrupted(signum, first_step)
        for step in range(first_step + 1, cadence.total_steps + 1):
            meter.add(*_timed_step(step_function, batches))
            run.note_step(step)
            signum, is_to_save = stop.split(run.agree(stop.noted))
            evaluating = cadence.is_evaluated(step)
            saving = cadence.is_due(cadence.checkpoint_every, step)
            # The first step is logged alone: it contains the compilation, which would spoil the first averages.
            logging = saving or evaluating or step == 1 or cadence.is_due(cadence.log_every, step)
            if logging or is_to_save or signum is not None:
                run.check()
                meter.check(step)  # nothing that is not finite gets into a checkpoint
            if logging:
                meter.make_record(step)
                if not evaluating:
                    run.log(meter.take_record())
                elif signum is None:
                    signum = _look_and_log(run, meter, step, stop)
            if saving or is_to_save or signum is not None:
                run.save(step, meter.state)
            _raise_if_interrupted(signum, step)
            if evaluating or saving or is_to_save or step == first_step + 1:
                meter.restart_clock()


def _look_and_log(run: Run, meter: Meter, step: int, stop: StopRequest) -> int | None:
    """Logs the record of a step with what is looked at after it, unless a signal comes before that is done.

    Returns:
        The signal that any of the machines got meanwhile.
    """
    try:
        looked = run.evaluate(step, stop.check)
    except Interrupted as given_up:
        return given_up.signum
    run.log(meter.take_record() | looked)
    return run.agree(stop.signum)


def _raise_if_interrupted(signum: int | None, step: int) -> None:
    if signum is not None:
        raise Interrupted(signum, f"interrupted after step {step}; its state is saved")


def _timed_step(step_function: StepFunction, batches: Iterator[Any]) -> tuple[dict[str, Any], float, float]:
    """The step's scalars, still on the device, the seconds its batch was waited for and those that its call took."""
    started = time.perf_counter()
    batch = next(batches)
    waited = time.perf_counter() - started
    scalars = step_function(batch)
    return scalars, waited, time.perf_counter() - started - waited
