"""Several processes that train one model: they are one, they stop together, and none waits for ever."""

import signal
import time

import numpy as np
import pytest
import tensorflow as tf
from configured import SMALL_RUN, configured
from processes import finish, kill, read_until, start_cluster

from mae.checkpoints.run_state import read_checkpoint
from mae.engines.tensorflow.workers import Workers, connected_workers
from mae.errors import ConfigError, TrainingStopped
from mae.monitoring.metrics import read_metrics
from mae.pretraining.run import pretrain

FIVE_STEPS = (
    *("steps=5", "accumulate=2", "evaluate_every=1", "checkpoint_every=5", "ema_decay=0.9", "precision=float32"),
    *("optimizer.clip_grad_norm=0.05", "optimizer.layer_decay=0.8", "model.drop_path_rate=0.3", "probe.every=2"),
)


def test_two_processes_that_were_interrupted_are_one_that_was_not(shapes, tmp_path):
    """The signal goes to the worker that does not save; both stop after the same step, and go on from there."""
    common = (*FIVE_STEPS, f"dataset.root={shapes}")
    chief, other = start_cluster(2, *common, f"run_dir={tmp_path / 'two'}")
    read_until(chief, "step 1/5")
    other.send_signal(signal.SIGTERM)
    for process in (chief, other):
        status, output = finish(process)
        assert status == 128 + signal.SIGTERM, output
        assert "the same command goes on from there" in output
    assert len(list((tmp_path / "two" / "checkpoints").iterdir())) == 1
    for status, output in [finish(process) for process in start_cluster(2, *common, f"run_dir={tmp_path / 'two'}")]:
        assert status == 0, output
    assert "worker 1 of 2" in output
    assert "computes only; CPU in each of 2 workers" in output

    pretrain(configured(*SMALL_RUN, *common, f"run_dir={tmp_path / 'one'}"))
    two, one = (
        read_checkpoint(tmp_path / name / "checkpoints" / "step_00000005.npz").arrays for name in ("two", "one")
    )
    assert two.keys() == one.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=1e-6, err_msg=name)
    made, expected = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("two", "one"))
    assert [record["step"] for record in made] == [0, 1, 2, 3, 4, 5]
    assert [record["step"] for record in expected if "feature_rank" in record] == [0, 2, 4, 5]
    probed = [record["step"] for record in made if "feature_rank" in record]
    assert len({0, 2, 4, 5} - set(probed)) <= 1  # what is due after the step the signal came in is left out
    for step in probed:
        assert made[step]["feature_rank"] == pytest.approx(expected[step]["feature_rank"], rel=1e-4)
    for record, other_record in zip(made[1:], expected[1:], strict=True):
        assert record["loss"] == pytest.approx(other_record["loss"], rel=1e-5)
        assert record["grad_norm"] == pytest.approx(other_record["grad_norm"], rel=1e-4)


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_others(shapes, tmp_path):
    cluster = start_cluster(2, "steps=5000", f"dataset.root={shapes}", f"run_dir={tmp_path / 'run'}")
    read_until(cluster[0], "   4/5000")
    kill(cluster[1])
    died = time.monotonic()
    status, output = finish(cluster[0])
    assert time.monotonic() - died < 60
    assert status == 3, output
    assert "worker 0 of 2 lost the others" in output
    assert list((tmp_path / "run" / "checkpoints").iterdir())


@pytest.mark.slow
def test_a_mistake_on_one_worker_ends_both(shapes, tmp_path):
    """The run directory is not shared: one of them has a run to go on with, the other has none."""
    common = (f"dataset.root={shapes}", "steps=4")
    for process in start_cluster(2, *common, f"run_dir={tmp_path / 'run'}"):
        assert finish(process)[0] == 0
    cluster = start_cluster(2, *common, f"run_dir={tmp_path / 'run'}", each=[(), (f"run_dir={tmp_path / 'other'}",)])
    for status, output in [finish(process) for process in cluster]:
        assert status == 2, output
        assert "the workers differ in the steps made: run_dir must be on a disk that all of them share (4, 0)" in output


class Pretended(Workers):
    """What another worker answers is given; `is_chief` as its own index says."""

    def answer(self, *values):
        object.__setattr__(self, "answers", list(values))
        return self

    def gather(self, value):
        others = self.answers.pop(0)
        return [value, others] if self.index == 0 else [others, value]


def pretended(*answers, index=0):
    return Pretended(tf.distribute.get_strategy(), index).answer(*answers)


def test_a_signal_to_one_is_a_signal_to_all():
    assert pretended(0).agree(None) is None
    assert pretended(15).agree(None) == 15
    assert pretended(0).agree(2) == 2


def test_what_fails_on_one_fails_on_all():
    def fail():
        raise TrainingStopped("disk full")

    assert pretended(0).together(lambda: 7) == 7
    with pytest.raises(TrainingStopped, match="disk full"):
        pretended(0).together(fail)
    with pytest.raises(TrainingStopped, match="worker 1 of 1 stopped; its own output says why"):
        pretended(2).together(lambda: 7)
    with pytest.raises(ConfigError, match="worker 0 of 1 stopped"):
        pretended(1, index=1).together(lambda: 7)


def test_the_others_begin_when_the_chief_is_done():
    done = []
    assert pretended(0, 0, index=0).chief_first(lambda: done.append("chief") or 1) == 1
    assert pretended(0, 0, index=1).chief_first(lambda: done.append("other") or 2) == 2
    assert done == ["chief", "other"]
    with pytest.raises(ConfigError):
        pretended(1, 0, index=1).chief_first(lambda: done.append("never"))
    assert done == ["chief", "other"]


def test_workers_that_differ_are_refused():
    pretended(3).check_same("the steps made", 3)
    with pytest.raises(ConfigError, match=r"the workers differ in the steps made \(3, 0\)"):
        pretended(0).check_same("the steps made", 3)


def test_a_lost_worker_is_told_in_one_line_and_other_errors_stay():
    error = tf.errors.UnavailableError(None, None, "Collective ops is aborted\nby something")
    two = Workers(tf.distribute.get_strategy())
    object.__setattr__(two, "count", 2)
    with (
        pytest.raises(TrainingStopped, match=r"worker 0 of 2 lost the others .* goes on from the last"),
        two.losing_others(),
    ):
        raise error
    with pytest.raises(tf.errors.UnavailableError), Workers(tf.distribute.get_strategy()).losing_others():
        raise error


def test_one_process_agrees_with_itself():
    alone = connected_workers(tf.distribute.get_strategy())
    assert (alone.is_chief, alone.count) == (True, 1)
    assert alone.agree(None) is None
    assert alone.agree(15) == 15
    assert alone.gather(4) == [4]
