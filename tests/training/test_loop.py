"""The loop with pretended steps: what is logged, saved and stopped when."""

import json
import signal
from dataclasses import replace

import pytest

from mae.errors import Interrupted, TrainingStopped
from mae.signals import StopRequest
from mae.training.loop import train
from mae.training.meter import Cadence, Meter

CADENCE = Cadence(
    total_steps=11, steps_per_epoch=4, clips_per_step=8, log_every=3, checkpoint_every=5, evaluate_every=4
)
TIMES = {"clips_per_second", "step_ms", "data_wait_ms", "compute_ms", "host_ms", "data_wait_fraction", "eta_s"}


def scalars(step, **others):
    return {
        **{"loss": 1 / step, "grad_norm": float(step), "learning_rate": 0.1 * step, "weight_decay": 0.05},
        "param_norm": 100.0 - step,
        **{"bad_clips": step % 2, "short_clips": 2, "decode_ms": 2.0, "accuracy": step / 100},
        **{"skipped_steps": 0.0, "skipped_in_row": 0.0, "halted": 0.0, **others},
    }


class Run:
    """A run whose steps are given; what it logged, and what it saved by step."""

    def __init__(self):
        self.logged, self.saved, self.calls, self.noted = [], {0: None}, [], []

    def go(self, from_step=0, step=scalars, check=lambda: None, during_evaluation=lambda step: None, stop=None):
        self.logged = [record for record in self.logged if record["step"] <= from_step]
        self.check, self.during_evaluation = check, during_evaluation
        train(self, step, iter(range(from_step + 1, 100)), from_step, CADENCE, self.saved[from_step], stop)

    def scalars(self, values):
        return {name: float(value) for name, value in values.items()}

    def note_step(self, step):
        self.noted.append(step)

    def log(self, record):
        self.logged.append({k: v for k, v in record.items() if k not in TIMES})

    def evaluate(self, step, check):
        self.calls.append(("evaluate", step))
        self.during_evaluation(step)
        check()
        return {"psnr": step}

    def save(self, step, meter):
        self.saved[step] = json.loads(json.dumps(meter))

    def agree(self, signum):
        return signum


@pytest.fixture(scope="module")
def whole():
    run = Run()
    run.go()
    return run


def test_what_happens_when(whole):
    assert [record["step"] for record in whole.logged] == [1, 3, 4, 5, 6, 8, 9, 10, 11]
    assert list(whole.saved) == [0, 5, 10, 11]
    assert whole.noted == list(range(1, 12))
    assert whole.calls == [("evaluate", 4), ("evaluate", 8), ("evaluate", 11)]
    third = whole.logged[1]
    assert third["loss"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert third["accuracy"] == pytest.approx(0.025)  # whatever else a step gives is averaged
    assert third["learning_rate"] == pytest.approx(0.3)  # the last step's
    assert third["param_norm"] == 97
    assert [record["bad_clips"] for record in whole.logged] == [1, 2, 2, 3, 3, 4, 5, 5, 6]
    assert [record["short_clips"] for record in whole.logged] == [2, 6, 8, 10, 12, 16, 18, 20, 22]


def test_a_second_cadence_of_looks():
    both = replace(CADENCE, probe_every=3)
    assert [step for step in range(1, 12) if both.is_evaluated(step)] == [3, 4, 6, 8, 9, 11]
    assert [step for step in range(1, 12) if CADENCE.is_evaluated(step)] == [4, 8, 11]


def terminated_at(at, then=lambda step: None, signum=signal.SIGTERM):
    """A function of the step that gets a signal at one of them."""

    def terminated(step):
        if step == at:
            signal.raise_signal(signum)
        return then(step)

    return terminated


@pytest.mark.parametrize("at", range(1, 12))
def test_what_is_logged_does_not_depend_on_interruptions(whole, at):
    run = Run()
    with pytest.raises(Interrupted, match=f"interrupted after step {at}; its state is saved"):
        run.go(step=terminated_at(at, scalars))
    run.go(from_step=at)
    assert run.logged == whole.logged


@pytest.mark.parametrize("at", [4, 8, 11])
def test_a_signal_gives_an_evaluation_up_and_the_run_that_goes_on_makes_up_for_it(whole, at):
    """Twice: the second signal comes while it is made up for."""
    run = Run()
    for from_step in (0, at):
        with pytest.raises(Interrupted, match=f"interrupted after step {at}; its state is saved") as stopped:
            run.go(from_step, during_evaluation=terminated_at(at))
        assert stopped.value.signum == signal.SIGTERM
        assert at not in [record["step"] for record in run.logged]
    run.go(from_step=at)
    assert run.logged == whole.logged
    expected = [step for _, step in whole.calls]
    assert [step for _, step in run.calls] == sorted([*expected, at, at])
    assert run.saved[at]["unlogged"] is None  # nor is it looked at once more when the run is started again


def test_usr1_has_the_state_saved_and_the_training_go_on(whole):
    run = Run()
    run.go(step=terminated_at(7, scalars, signal.SIGUSR1), stop=StopRequest(saves=True))
    assert list(run.saved) == [0, 5, 7, 10, 11]
    assert run.logged == whole.logged
    run.go(from_step=7)
    assert run.logged == whole.logged


def test_usr1_during_an_evaluation_does_not_give_it_up(whole):
    """The state is saved after the next step."""
    run = Run()
    run.go(during_evaluation=terminated_at(8, signum=signal.SIGUSR1), stop=StopRequest(saves=True))
    assert list(run.saved) == [0, 5, 9, 10, 11]
    assert run.logged == whole.logged


@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGHUP])
def test_signals_that_end_after_the_state_is_saved(whole, signum):
    run = Run()
    with pytest.raises(Interrupted, match="interrupted after step 7; its state is saved") as stopped:
        run.go(step=terminated_at(7, scalars, signum), stop=StopRequest(ends=(signal.SIGHUP, signal.SIGUSR1)))
    assert stopped.value.signum == signum
    run.go(from_step=7)
    assert run.logged == whole.logged


def test_other_workers_are_told_of_an_evaluation_that_is_given_up(whole):
    """The signal is the other's: here the evaluation raises what `Workers.together` does."""

    def interrupted_elsewhere(step):
        raise Interrupted(signal.SIGTERM, "worker 0 of 2 was interrupted")

    run = Run()
    with pytest.raises(Interrupted, match="interrupted after step 4; its state is saved"):
        run.go(during_evaluation=interrupted_elsewhere)
    run.go(from_step=4)
    assert run.logged == whole.logged


def test_a_killed_run_logs_the_same_again(whole):
    run = Run()
    with pytest.raises(ZeroDivisionError):
        run.go(step=lambda step: scalars(step) if step < 8 else 1 / 0)
    run.go(from_step=5)
    assert run.logged == whole.logged


def test_skipped_steps_are_counted_and_left_out_of_the_averages():
    def skipping(step):
        if step in (2, 5, 6):
            return scalars(step, loss=float("nan"), grad_norm=float("inf"), skipped_in_row=1.0, skipped_steps=step)
        return scalars(step)

    run = Run()
    run.go(step=skipping)
    by_step = {record["step"]: record for record in run.logged}
    assert by_step[3]["loss"] == pytest.approx(1 / 3)
    assert by_step[6]["loss"] is None  # nothing was averaged
    assert by_step[6]["skipped_steps"] == 6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"grad_norm": float("nan")}, "grad_norm is nan at step 7; no update was made with it. Try a lower"),
        ({"loss": float("inf")}, "loss is inf at step 7; no update"),
        (
            {"grad_norm": float("inf"), "skipped_in_row": 4.0},
            "is inf at step 7 and something not finite in the 3 steps",
        ),
    ],
)
def test_it_stops_with_the_checkpoint_before_where_no_update_is_made_any_more(values, message):
    def poisoned(step):
        return scalars(step) if step < 7 else scalars(step, **{"halted": 1.0, "skipped_in_row": 1.0, **values})

    run = Run()
    with pytest.raises(TrainingStopped) as stopped:
        run.go(step=poisoned)
    assert message in str(stopped.value)
    assert list(run.saved) == [0, 5]


def test_what_else_must_stop_it_is_asked_before_each_record():
    def full():
        raise TrainingStopped("too many")

    run = Run()
    with pytest.raises(TrainingStopped, match="too many"):
        run.go(check=full)
    assert run.logged == []


def test_compiling_is_no_speed():
    meter = Meter(CADENCE, dict)
    meter.add(scalars(1), waited=0.0, computed=0.0)
    meter.make_record(1)
    assert meter.take_record()["clips_per_second"] is None
    meter.restart_clock()
    meter.add(scalars(2), waited=0.0, computed=0.0)
    meter.make_record(2)
    assert meter.take_record()["clips_per_second"] > 0


def test_where_the_time_of_a_step_goes(monkeypatch):
    """On a clock that only what is pretended moves: two steps, a record, and the next step after a slow log."""
    now = [100.0]
    monkeypatch.setattr("mae.training.meter.time.perf_counter", lambda: now[0])

    def read(values):
        now[0] += 0.25  # the device is waited for
        return dict(values)

    meter = Meter(CADENCE, read)
    for step in (1, 2):
        now[0] += 4
        meter.add(scalars(step), waited=1.0, computed=2.0)
    meter.check(2)
    meter.make_record(2)
    record = meter.take_record()
    times = {name: record[name] for name in ("step_ms", "data_wait_ms", "compute_ms", "host_ms", "data_wait_fraction")}
    # 8.5 s: two waits of 1, two computations of 2 and two readings of 0.25, however often a number is asked for.
    assert times == {
        **{"step_ms": 4250, "data_wait_ms": 1000, "compute_ms": 2250, "host_ms": 1000},
        "data_wait_fraction": pytest.approx(2 / 8.5),
    }
    now[0] += 3  # writing the record is the host's time of the next one
    now[0] += 1
    meter.add(scalars(3), waited=0.0, computed=0.75)
    meter.check(3)
    meter.make_record(3)
    assert meter.take_record()["host_ms"] == 3250
