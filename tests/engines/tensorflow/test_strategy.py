import json
import os
from pathlib import Path

import pytest
import tensorflow as tf
from configured import SMALL_RUN, configured

from mae.engines.engine import Setup
from mae.engines.start import start_engine, start_engine_for_a_while
from mae.engines.tensorflow.strategy import (
    cluster_resolver,
    compute_dtype,
    describe_devices,
    make_strategy,
)
from mae.errors import ConfigError, UnusedDevice
from mae.pretraining.run import pretrain


def test_without_a_gpu_auto_and_single_take_the_cpu():
    for name in ("auto", "single"):
        strategy = make_strategy(name)
        assert strategy.num_replicas_in_sync == 1
        assert describe_devices(strategy) == "CPU"


def test_mirrored_takes_all_logical_cpus():
    strategy = make_strategy("mirrored")
    assert strategy.num_replicas_in_sync == 4
    assert describe_devices(strategy) == "4 logical CPU devices"


def test_mirrored_needs_two_devices(monkeypatch):
    one = tf.config.list_logical_devices("CPU")[:1]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: one if kind == "CPU" else [])
    with pytest.raises(ConfigError, match="at least two devices, found 1"):
        make_strategy("mirrored")


@pytest.fixture
def unseen_gpu(monkeypatch):
    """An NVIDIA driver is here, and TensorFlow sees no GPU."""
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidiactl")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize("strategy", ["auto", "single", "mirrored"])
def test_a_gpu_that_tensorflow_does_not_see_is_a_mistake(unseen_gpu, strategy):
    with pytest.raises(UnusedDevice, match=r"sees no GPU: pip install -e '\.\[gpu\]'; .* strategy=single device=cpu"):
        start_engine(Setup(strategy))
    assert start_engine(Setup(strategy, "cpu")).describe_devices() in ("CPU", "4 logical CPU devices")


@pytest.mark.parametrize("named", ["", "-1"])
def test_whoever_hides_all_gpus_means_it(unseen_gpu, monkeypatch, named):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert start_engine(Setup("auto")).describe_devices() == "CPU"


def test_whoever_names_a_gpu_that_is_not_there_is_told_so(unseen_gpu, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(UnusedDevice, match="unless CUDA_VISIBLE_DEVICES=7 names none that is there: pip install"):
        start_engine(Setup("auto"))


def test_a_gpu_that_is_seen_is_no_mistake(unseen_gpu, monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [0])
    start_engine(Setup("auto"))


def test_short_commands_go_on_with_one_line(unseen_gpu, capsys):
    assert start_engine_for_a_while().describe_devices() == "CPU"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("NOTE: an NVIDIA driver is here, but TensorFlow sees no GPU")


def test_without_a_cluster_or_a_tpu_it_is_said_what_is_missing(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_PROCID", "TPU_NAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="needs TF_CONFIG, or Slurm's srun"):
        make_strategy("multiworker")
    with pytest.raises(ConfigError, match="strategy=tpu finds no TPU"):
        make_strategy("tpu")


TWO = {"worker": ["127.0.0.1:5001", "127.0.0.1:5002"]}


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("{", "TF_CONFIG does not describe a cluster of workers: Expecting"),
        (json.dumps({"cluster": TWO}), "does not describe a cluster"),
        (json.dumps({"cluster": TWO, "task": {"type": "worker", "index": 2}}), "task index 2 of 2 tasks"),
        (json.dumps({"cluster": TWO, "task": {"type": "ps", "index": 0}}), "task 'ps' of a cluster of worker"),
    ],
)
def test_a_cluster_that_makes_no_sense_is_refused(monkeypatch, told, message):
    monkeypatch.setenv("TF_CONFIG", told)
    with pytest.raises(ConfigError) as error:
        make_strategy("multiworker")
    assert message in str(error.value)


def test_slurm_says_who_the_workers_are(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name, value in {
        "PROCID": "2",
        "JOB_ID": "1234567",
        "STEP_NUM_TASKS": "4",
        "STEP_NODELIST": "node[01-02]",
        "STEP_TASKS_PER_NODE": "2(x2)",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver = cluster_resolver(os.environ)
    hosts = ["node01:24567", "node01:24568", "node02:24567", "node02:24568"]
    assert resolver.cluster_spec().as_dict() == {"worker": hosts}
    assert (resolver.task_type, resolver.task_id) == ("worker", 2)
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    with pytest.raises(ConfigError, match="Slurm's environment does not describe a cluster"):
        cluster_resolver(os.environ)


def test_precisions():
    assert compute_dtype("auto").compute_dtype == "float32"  # no GPU here
    for name in ("bfloat16", "float16"):
        mixed = compute_dtype(name)
        assert (mixed.compute_dtype, mixed.variable_dtype) == (name, "float32")


def test_auto_is_bfloat16_on_a_tpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [0] if kind == "TPU" else [])
    assert compute_dtype("auto").compute_dtype == "bfloat16"


@pytest.mark.parametrize(("capabilities", "expected"), [([(8, 0), (9, 0)], "bfloat16"), ([(8, 0), (7, 5)], "float32")])
def test_auto_is_bfloat16_where_all_gpus_have_it(monkeypatch, capabilities, expected):
    gpus = list(range(len(capabilities)))
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus if kind == "GPU" else [])
    details = {i: {"compute_capability": capability} for i, capability in enumerate(capabilities)}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    assert compute_dtype("auto").compute_dtype == expected


def test_jit_needs_one_replica(shapes, tmp_path):
    with pytest.raises(ConfigError, match="jit=true needs one replica, found 4"):
        pretrain(
            configured(*SMALL_RUN, f"dataset.root={shapes}", f"run_dir={tmp_path}", "strategy=mirrored", "jit=true")
        )
