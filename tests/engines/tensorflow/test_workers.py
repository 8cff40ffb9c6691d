"""Several processes that train one model: they are one, they stop together, and none waits for ever."""

import signal
import time

import numpy as np
import pytest
import tensorflow as tf
from configured import SMALL_RUN, configured
from processes import finish, kill, read_until, start_cluster

from mae.checkpoints.run_state import read_checkpoint
from mae.engines.tensorflow.workers import connected_workers, report_lost_workers
from mae.engines.workers import Workers
from mae.errors import TrainingStopped
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


def test_a_lost_worker_is_told_in_one_line_and_other_errors_stay():
    error = tf.errors.UnavailableError(None, None, "Collective ops is aborted\nby something")
    two = Workers(0, 2, add_up=lambda mine: mine)
    with (
        pytest.raises(TrainingStopped, match=r"worker 0 of 2 lost the others .* goes on from the last"),
        report_lost_workers(two),
    ):
        raise error
    with pytest.raises(tf.errors.UnavailableError), report_lost_workers(Workers()):
        raise error


def test_a_strategy_of_one_machine_has_one_worker():
    assert connected_workers(tf.distribute.get_strategy()) == Workers()
