"""Several processes that train one model: they are one, they stop together, and none waits for ever."""

import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from configured import SMALL_RUN, configured, configured_finetuning
from processes import finish, kill, read_until, start_cluster

from mae.checkpoints.run_state import read_checkpoint
from mae.finetuning.run import finetune
from mae.monitoring.metrics import read_metrics
from mae.pretraining.run import pretrain

FIVE_STEPS = (
    *("steps=5", "accumulate=2", "evaluate_every=1", "checkpoint_every=5", "ema_decay=0.9", "precision=float32"),
    *("optimizer.clip_grad_norm=0.05", "optimizer.layer_decay=0.8", "probe.every=2"),
    *("model.depth=2", "model.drop_path_rate=0.3"),
)


@pytest.fixture(scope="module")
def two(shapes, tmp_path_factory):
    """A run of two processes that one signal, to the worker that does not save, interrupted; shared by all tests."""
    common = (*FIVE_STEPS, f"dataset.root={shapes}")
    run_dir = tmp_path_factory.mktemp("two") / "run"
    cluster = start_cluster(2, *common, f"run_dir={run_dir}", hold_at=1)
    read_until(cluster[0], "step 1/5")
    cluster[1].send_signal(signal.SIGTERM)
    interrupted = [finish(process) for process in cluster]
    saved = len(list((run_dir / "checkpoints").iterdir()))
    ended = [finish(process) for process in start_cluster(2, *common, f"run_dir={run_dir}")]
    return SimpleNamespace(run_dir=run_dir, common=common, interrupted=interrupted, saved=saved, ended=ended)


@pytest.mark.processes
def test_both_stop_after_the_same_step_and_go_on_from_there(two):
    for status, output in two.interrupted:
        assert status == 128 + signal.SIGTERM, output
        assert "the same command goes on from there" in output
    assert two.saved == 1
    for status, output in two.ended:
        assert status == 0, output
    assert "worker 1 of 2" in output
    assert "computes only; CPU in each of 2 workers" in output


@pytest.mark.processes
def test_two_processes_that_were_interrupted_are_one_that_was_not(two, tmp_path):
    pretrain(configured(*SMALL_RUN, *two.common, f"run_dir={tmp_path / 'one'}"))
    directories = (two.run_dir, tmp_path / "one")
    weights, expected_weights = (
        read_checkpoint(directory / "checkpoints" / "step_00000005.npz").arrays for directory in directories
    )
    assert weights.keys() == expected_weights.keys()
    for name, value in expected_weights.items():
        np.testing.assert_allclose(weights[name], value, atol=1e-6, err_msg=name)
    made, expected = (read_metrics(directory / "metrics.jsonl") for directory in directories)
    assert [record["step"] for record in made] == [0, 1, 2, 3, 4, 5]
    assert [record["step"] for record in expected if "feature_rank" in record] == [0, 2, 4, 5]
    assert [record["step"] for record in made if "feature_rank" in record] == [0, 2, 4, 5]
    for step in (0, 2, 4, 5):
        assert made[step]["feature_rank"] == pytest.approx(expected[step]["feature_rank"], rel=1e-4)
    for record, other_record in zip(made[1:], expected[1:], strict=True):
        assert record["loss"] == pytest.approx(other_record["loss"], rel=1e-5)
        assert record["grad_norm"] == pytest.approx(other_record["grad_norm"], rel=1e-4)


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_others(shapes, tmp_path):
    common = ("steps=5000", f"dataset.root={shapes}", f"run_dir={tmp_path / 'run'}")
    cluster = start_cluster(2, *common, hold_at=4, silence_s=100)
    read_until(cluster[0], "   4/5000")
    kill(cluster[1])
    status, output = finish(cluster[0])
    assert status == 3, output
    assert "worker 0 of 2 lost the others" in output
    assert list((tmp_path / "run" / "checkpoints").iterdir())


@pytest.mark.slow
def test_a_mistake_on_one_worker_ends_both(two, tmp_path):
    """The run directory is not shared: one of them has a run to go on with, the other has none."""
    shutil.copytree(two.run_dir, tmp_path / "run")
    each = [(f"run_dir={tmp_path / name}",) for name in ("run", "other")]
    for status, output in [finish(process) for process in start_cluster(2, *two.common, each=each)]:
        assert status == 2, output
        assert "the workers differ in the steps made: run_dir must be on a disk that all of them share (5, 0)" in output


SMALL_FINETUNING = (
    *(setting for setting in SMALL_RUN if not setting.startswith(("model.decoder", "evaluate_every"))),
    *("steps=3", "checkpoint_every=3", "batch_size=4", "validate_every=1", "eval_batch_size=4"),
    *("dataset.val_videos_per_class=1", "test.clips=1", "mixing.probability=1"),
)


@pytest.mark.slow
def test_two_processes_fine_tune_as_one_does(shapes, tmp_path):
    common = (*SMALL_FINETUNING, f"dataset.root={shapes}", "init_from=null")
    runs = tmp_path / "two", tmp_path / "one"
    cluster = start_cluster(2, *common, f"run_dir={runs[0]}", script="finetune.py")
    for status, output in [finish(process) for process in cluster]:
        assert status == 0, output
    finetune(configured_finetuning(*common, f"run_dir={runs[1]}"))
    made, expected = (read_checkpoint(run / "checkpoints" / "step_00000003.npz").arrays for run in runs)
    for name, value in expected.items():
        np.testing.assert_allclose(made[name], value, atol=1e-6, err_msg=name)
    assert [(run / "test.json").exists() for run in runs] == [True, True]
