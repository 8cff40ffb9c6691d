"""The scalars of many steps as one record of the log."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mae.errors import TrainingStopped
from mae.training.config import RunConfig
from mae.training.plan import TrainingPlan

Record = dict[str, Any]
MeterState = dict[str, Any]
Read = Callable[[Mapping[str, Any]], dict[str, float]]


@dataclass(frozen=True)
class Cadence:
    """How often things happen, in steps."""

    total_steps: int
    steps_per_epoch: int
    clips_per_step: int
    log_every: int
    checkpoint_every: int
    evaluate_every: int | None  # None: at the end only
    probe_every: int | None = None  # a look of its own kind; None: there is none

    @classmethod
    def of(
        cls, config: RunConfig, plan: TrainingPlan, evaluate_every: int | None, probe_every: int | None = None
    ) -> "Cadence":
        """What the config says, with the figures that follow from it."""
        return cls(
            total_steps=plan.total_steps,
            steps_per_epoch=plan.steps_per_epoch,
            clips_per_step=config.clips_per_step,
            log_every=config.log_every,
            checkpoint_every=config.checkpoint_every,
            evaluate_every=evaluate_every,
            probe_every=probe_every,
        )

    def is_due(self, every: int | None, step: int) -> bool:
        """Whether something done `every` so many steps, and at the end, is done after `step` steps."""
        return step == self.total_steps or (every is not None and step % every == 0)

    def is_evaluated(self, step: int) -> bool:
        """Whether anything is looked at after `step` steps; what it is, the evaluation itself asks."""
        return self.is_due(self.evaluate_every, step) or self.is_due(self.probe_every, step)


@dataclass
class _Clock:
    """Time since some moment, the steps made in it and what it was spent with."""

    since: float
    steps: int = 0
    waited: float = 0.0  # seconds for batches
    computed: float = 0.0  # seconds in steps, and waiting for what they gave

    def seconds(self) -> float:
        return time.perf_counter() - self.since


class Meter:
    """Collects the scalars of steps and turns them into one record per logging step.

    Every step gives `loss`, `bad_clips`, `short_clips`, `decode_ms` and the scalars of `Optimizer.apply`. Whatever else
    it gives is averaged under its own name.
    """

    def __init__(self, cadence: Cadence, read: Read, state: MeterState | None = None) -> None:
        """`read` makes numbers of a step's scalars; `state`: of the meter that the checkpoint to go on from has."""
        self._cadence = cadence
        self._read = read
        state = state or {"pending": []}
        # Over the whole run; checkpoints of earlier versions have no count of short clips, and no `unlogged`.
        self._counts = {name: state.get(name, 0) for name in _COUNTS}
        self._scalars: list[dict[str, Any]] = []  # of steps whose numbers may still be on the device
        self._numbers: list[dict[str, float]] = [{**dict.fromkeys(_COUNTS, 0), **step} for step in state["pending"]]
        self.unlogged: Record | None = state.get("unlogged")  # made, but not logged yet
        self._clock = _Clock(time.perf_counter())
        self._compiling = True  # the first step's time is the compiler's: no speed follows from it

    @property
    def state(self) -> MeterState:
        """What a later meter needs to make the next record as this one would: it is saved with the weights."""
        return {**self._counts, "pending": self._all_numbers(), "unlogged": self.unlogged}

    def add(self, scalars: dict[str, Any], waited: float, computed: float) -> None:
        """Notes a step; its scalars may still be on the device.

        Args:
            waited: seconds for its batch.
            computed: seconds until the step returned, which it may do before the device is done.
        """
        self._scalars.append(scalars)
        self._clock.steps += 1
        self._clock.waited += waited
        self._clock.computed += computed

    def check(self, step: int) -> None:
        """Raises `TrainingStopped` if more updates in a row were skipped than may be; waits for the device."""
        _raise_if_halted(self._values(), first_step=step - len(self._all_numbers()) + 1)

    def make_record(self, step: int) -> None:
        """Makes `unlogged` of the means over the steps since the last record; to be `check`ed before.

        Steps whose update was skipped count in `skipped_steps`, of the whole run, and in no mean; a mean over no step
        is None. `step_ms` is the sum of three: waiting for batches, computing (the step, and waiting for the device
        once its numbers are read), and all else that the loop does, `host_ms`. What follows belongs to the next record.
        """
        values = self._values()
        made = values["skipped_in_row"] == 0
        for name in _COUNTS:
            self._counts[name] += int(values[name].sum())
        means = {name: value[made].mean() if made.any() else None for name, value in values.items()}
        cadence, clock, seconds = self._cadence, self._clock, self._clock.seconds()
        self.unlogged = {
            "step": step,
            "epoch": step / cadence.steps_per_epoch,
            **{name: mean for name, mean in means.items() if name not in _NO_MEAN},
            **{name: values[name][-1] for name in _OF_LAST_STEP if name in values},
            "clips_per_second": None if self._compiling else clock.steps * cadence.clips_per_step / seconds,
            "step_ms": 1000 * seconds / clock.steps,
            "data_wait_ms": 1000 * clock.waited / clock.steps,
            "compute_ms": 1000 * clock.computed / clock.steps,
            "host_ms": 1000 * (seconds - clock.waited - clock.computed) / clock.steps,
            "data_wait_fraction": clock.waited / seconds,
            "decode_ms": values["decode_ms"].mean(),
            **self._counts,
            "skipped_steps": int(values["skipped_steps"][-1]),
            "eta_s": None if self._compiling else (cadence.total_steps - step) * seconds / clock.steps,
        }
        self._numbers = []
        self._clock = _Clock(time.perf_counter())

    def take_record(self) -> Record:
        """The record that is `unlogged`, to be logged now."""
        record, self.unlogged = self.unlogged, None
        assert record is not None
        return record

    def restart_clock(self) -> None:
        """What follows is timed; what was done before (compiling, evaluating, saving) is not."""
        self._clock = _Clock(time.perf_counter())
        self._compiling = False

    def _values(self) -> dict[str, np.ndarray]:
        read = self._all_numbers()
        return {name: np.array([scalars[name] for scalars in read]) for name in read[0]}

    def _all_numbers(self) -> list[dict[str, float]]:
        """Of all steps since the last record. Each is read once: a number is a transfer from the device."""
        started = time.perf_counter()
        self._numbers += [self._read(scalars) for scalars in self._scalars]
        self._scalars = []
        self._clock.computed += time.perf_counter() - started
        return self._numbers


_COUNTS = ("bad_clips", "short_clips")  # of a step, and in a record of the whole run
_OF_LAST_STEP = ("learning_rate", "weight_decay", "param_norm", "loss_scale")
_NO_MEAN = {"skipped_in_row", "halted"}


def _raise_if_halted(values: dict[str, np.ndarray], first_step: int) -> None:
    if not values["halted"].any():
        return
    i = int(np.argmax(values["halted"]))
    name = "grad_norm" if np.isfinite(values["loss"][i]) else "loss"
    in_row = int(values["skipped_in_row"][i])
    before = f" and something not finite in the {in_row - 1} steps before it" if in_row > 1 else ""
    raise TrainingStopped(
        f"{name} is {values[name][i]} at step {first_step + i}{before}; no update was made with it. "
        "Try a lower learning_rate, optimizer.clip_grad_norm=1 or precision=float32"
    )
