"""What may happen to a run: its process is killed, its disk is full or read-only. Real processes, real limits."""

import itertools
import os
import re
import resource
import shutil
import signal
from contextlib import contextmanager

import numpy as np
import pytest
from begun_runs import only_begun
from configured import SMALL_RUN, configured
from omegaconf import OmegaConf
from processes import finish, kill, read_until, start

from mae.checkpoints.run_state import read_checkpoint
from mae.cli.exit_status import exit_statuses
from mae.errors import ConfigError, Interrupted, TrainingStopped
from mae.evaluation.probes import signs
from mae.evaluation.probes.attentive import AttentiveProbe
from mae.evaluation.probes.feature_figures import FeatureFigures
from mae.evaluation.reconstruction import FixedBatch
from mae.monitoring.metrics import read_metrics
from mae.pretraining import advice, periodic_probe
from mae.pretraining.run import pretrain
from mae.seeds import generator
from mae.training.run_directory import RunDirectory

# Everything that is state of a run is on; logging windows and saves do not fall together.
EVERYTHING = (
    *("deterministic=true", "accumulate=2", "ema_decay=0.9", "model.drop_path_rate=0.3"),
    *("steps=40", "log_every=3", "checkpoint_every=4", "evaluate_every=10", "precision=float16"),
    *("max_skipped_steps=30", "loss_scale=16777216"),  # so high that the first steps are skipped
)

# What a record says of the machine, of the moment rather than of the training.
MEASURED = {
    *(
        "clips_per_second",
        "step_ms",
        "data_wait_ms",
        "compute_ms",
        "host_ms",
        "data_wait_fraction",
        "decode_ms",
        "eta_s",
    ),
    *("decoders_busy", "model_flops_per_second", "model_flops_share", "host_memory_gb", "device_memory_gb"),
}


def assert_same_arrays(made, expected):
    assert made.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(made[name], value, err_msg=name)


def same_run(directory, whole, step):
    made, expected = (read_checkpoint(d / "checkpoints" / f"step_{step:08d}.npz").arrays for d in (directory, whole))
    assert_same_arrays(made, expected)
    logged, expected_log = (
        [{k: v for k, v in record.items() if k not in MEASURED} for record in read_metrics(d / "metrics.jsonl")]
        for d in (directory, whole)
    )
    assert logged == expected_log
    return expected_log


def last_logged(directory):
    return max((record["step"] for record in read_metrics(directory / "metrics.jsonl")), default=0)


@pytest.mark.processes
def test_terminated_and_killed_is_uninterrupted_bit_for_bit(shapes, tmp_path):
    common = (*EVERYTHING, "model.depth=1", f"dataset.root={shapes}")
    whole, run = tmp_path / "whole", tmp_path / "run"
    first = start(*common, f"run_dir={run}", steering={"hold_at": 3})
    reference = start(*common, f"run_dir={whole}")
    before = read_until(first, "step  3/40")
    first.send_signal(signal.SIGTERM)
    status, output = finish(first)
    assert status == 128 + signal.SIGTERM, before + output
    assert "its state is saved; the same command goes on from there" in output
    second = start(*common, f"run_dir={run}", steering={"hold_at": 21})
    read_until(second, "step 21/40")
    kill(second)
    assert last_logged(run) < 40
    for process in (start(*common, f"run_dir={run}"), reference):
        status, output = finish(process)
        assert status == 0, output
    log = same_run(run, whole, 40)
    assert log[0]["skipped_steps"] == 1
    assert 1 < log[-1]["skipped_steps"] < 30


@pytest.mark.slow
def test_killed_ten_times_is_uninterrupted_bit_for_bit(shapes, tmp_path):
    common = (*EVERYTHING, "steps=120", "optimizer=muon", f"dataset.root={shapes}")
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert finish(start(*common, f"run_dir={whole}"))[0] == 0
    rng = generator(0, "kills")
    for _ in range(10):
        # Up to some more lines than it has; where a kill comes too late, the run is over and says so.
        process = start(*common, f"run_dir={run}")
        read_until(process, "  optimizer")
        for _ in range(int(rng.integers(0, 6))):
            read_until(process, "step ")
        kill(process)
    assert last_logged(run) < 120
    status, output = finish(start(*common, f"run_dir={run}"))
    assert status == 0, output
    same_run(run, whole, 120)


def small(shapes, run_dir, *overrides):
    pretrain(configured(*SMALL_RUN, f"dataset.root={shapes}", f"run_dir={run_dir}", *overrides))


@pytest.fixture(scope="module")
def two_steps(shapes, tmp_path_factory):
    """A run of two steps, to be copied."""
    directory = tmp_path_factory.mktemp("two_steps") / "run"
    small(shapes, directory, "steps=2", "keep_checkpoints=1")
    return directory


def interrupting(function, *, at):
    """`function`, but the call of that number, from 1, gets a signal before it does anything."""
    calls = itertools.count(1)

    def interrupted(*arguments):
        if next(calls) == at:
            signal.raise_signal(signal.SIGTERM)
        return function(*arguments)

    return interrupted


@pytest.mark.processes
def test_a_signal_during_evaluation_ends_the_run_which_goes_on_bit_for_bit(shapes, tmp_path, monkeypatch):
    common = ("evaluate_every=3", "probe.every=4", "deterministic=true")
    small(shapes, tmp_path / "whole", *common)
    # Evaluations that are given up: one of the middle, and one of the last step, after which no step is left.
    for method, at, step in (((FixedBatch, "loss"), 1, 3), ((FeatureFigures, "figures"), 2, 6)):
        with monkeypatch.context() as patch:
            patch.setattr(*method, interrupting(getattr(*method), at=at))
            with pytest.raises(Interrupted, match=f"interrupted after step {step}; its state is saved; the same"):
                small(shapes, tmp_path / "run", *common)
        assert last_logged(tmp_path / "run") == step - 1
        assert (tmp_path / "run" / "checkpoints" / f"step_{step:08d}.npz").exists()
    small(shapes, tmp_path / "run", *common)
    log = same_run(tmp_path / "run", tmp_path / "whole", 6)
    assert [record["step"] for record in log if "fixed_batch_loss" in record] == [3, 6]
    assert [record["step"] for record in log if "probe_top1" in record] == [0, 4, 6]


@pytest.mark.processes
def test_a_signal_while_a_look_fits_its_probes_changes_nothing_and_what_was_warned_of_is_not_warned_of_again(
    tmp_path, monkeypatch, capsys
):
    """Here every loss has fallen, and hardly any sign is high enough to have moved."""
    monkeypatch.setattr(advice, "FALLEN", 100)
    monkeypatch.setattr(signs, "ERRORS", 5.5)  # of 36 clips: from 95.8 % on the order has moved
    common = ("dataset.videos_per_class=3", "probe.every=2", "probe.attentive_steps=3", "deterministic=true")
    small(tmp_path / "videos", tmp_path / "whole", *common)
    said = capsys.readouterr().out
    assert said.count("WARNING: the loss has fallen to") == 1
    assert said.index("step 3/6") < said.index("WARNING: the loss has fallen") < said.index("step 4/6")
    for title, chance in (("attentive top-1", "8.3 %"), ("order", "50.0 %")):
        assert re.search(rf"^{title} of 36 clips: .* at step 0 → .* at step 6 .chance {chance}.$", said, re.MULTILINE)
    with monkeypatch.context() as patch:
        # Two halves of two probes: the second call of the look after step 6.
        patch.setattr(AttentiveProbe, "fitted", interrupting(AttentiveProbe.fitted, at=3 * 4 + 2))
        with pytest.raises(Interrupted, match="interrupted after step 6; its state is saved"):
            small(tmp_path / "videos", tmp_path / "run", *common)
    assert last_logged(tmp_path / "run") == 5
    assert capsys.readouterr().out.count("WARNING: the loss has fallen to") == 1
    small(tmp_path / "videos", tmp_path / "run", *common)
    assert "WARNING: the loss" not in capsys.readouterr().out
    log = same_run(tmp_path / "run", tmp_path / "whole", 6)
    looks = [record for record in log if "feature_rank" in record]
    assert [record["step"] for record in looks] == [0, 2, 4, 6]
    assert all({"probe_top1", "probe_attentive_top1", "probe_order"} <= record.keys() for record in looks)


def test_a_second_signal_while_the_state_is_saved_leaves_the_checkpoint_before(
    two_steps, shapes, tmp_path, monkeypatch, capsys
):
    shutil.copytree(two_steps, tmp_path / "run")
    before = read_checkpoint(tmp_path / "run" / "checkpoints" / "step_00000002.npz")
    write = np.savez

    def twice(file, **arrays):
        write(file, **arrays)
        signal.raise_signal(signal.SIGTERM)  # the first ends the training after this step
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(np, "savez", twice)
    with pytest.raises(SystemExit) as ended, exit_statuses():
        small(shapes, tmp_path / "run", "steps=6")
    assert ended.value.code == 128 + signal.SIGTERM
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_00000002.npz"]
    monkeypatch.undo()
    assert_same_arrays(read_checkpoint(tmp_path / "run" / "checkpoints" / "step_00000002.npz").arrays, before.arrays)
    with only_begun():
        small(shapes, tmp_path / "run", "steps=6")
    assert "step_00000002.npz, 2 steps made" in capsys.readouterr().out


def test_a_signal_while_the_clips_of_the_probe_are_read_ends_the_run_there(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(periodic_probe, "read_ahead", interrupting(periodic_probe.read_ahead, at=1))
    with pytest.raises(SystemExit) as ended, exit_statuses():
        small(shapes, tmp_path / "run", "probe.every=4")
    assert ended.value.code == 128 + signal.SIGTERM
    assert not (tmp_path / "run" / "checkpoints").exists()


@contextmanager
def largest_file(size):
    """The system refuses to write more than so many bytes into a file, as a full disk or a quota would."""
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_a_checkpoint_stops_the_run_and_keeps_the_earlier_ones(two_steps, shapes, tmp_path):
    shutil.copytree(two_steps, tmp_path / "run")
    with largest_file(100_000), pytest.raises(TrainingStopped, match="the checkpoint of step 4 cannot be written"):
        small(shapes, tmp_path / "run", "steps=6", "keep_checkpoints=1")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_00000002.npz"]
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "step_00000002.npz").step == 2


def test_a_full_disk_is_told_in_one_line(two_steps, shapes, tmp_path, monkeypatch):
    shutil.copytree(two_steps, tmp_path / "run")
    note_config = RunDirectory.note_config

    def on_a_full_disk(self, config):
        (self.path / f".config.2.yaml.{os.getpid()}.tmp.yaml").symlink_to("/dev/full")  # where it is written first
        note_config(self, config)

    monkeypatch.setattr(RunDirectory, "note_config", on_a_full_disk)
    with pytest.raises(TrainingStopped, match=r"No space left on device.; earlier checkpoints are kept"):
        small(shapes, tmp_path / "run", "steps=4")
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "step_00000002.npz").step == 2


def test_the_config_of_the_first_start_stays_and_changes_are_noted(shapes, tmp_path):
    run = tmp_path / "run"
    told = ("steps=2", "steps=2", "steps=4", "steps=4", "steps=2")
    for steps in told:
        small(shapes, run, steps, "keep_every=2", "keep_checkpoints=1")
    noted = {path.name: OmegaConf.load(path).steps for path in sorted(run.glob("config*.yaml"))}
    assert noted == {"config.yaml": 2, "config.2.yaml": 4}
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == [
        f"step_{step:08d}.npz" for step in (2, 4)
    ]


def test_what_a_killed_process_left_is_neither_a_run_nor_in_the_way(tmp_path):
    (tmp_path / "reconstructions").mkdir()
    left = [tmp_path / ".config.yaml.4711.tmp.yaml", tmp_path / "reconstructions" / ".step_00000001.png.4711.tmp.png"]
    for path in left:
        path.write_text("half")
    with RunDirectory(tmp_path):
        assert not any(path.exists() for path in left)
    (tmp_path / "reconstructions").rmdir()
    left[0].write_text("half")
    RunDirectory(tmp_path).check("auto")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="neither empty nor a run"):
        RunDirectory(tmp_path).check("auto")


def test_a_directory_that_cannot_be_written_is_told_before_anything_else():
    with pytest.raises(ConfigError, match="run_dir=/proc/none/run cannot be used"), RunDirectory("/proc/none/run"):
        pass
