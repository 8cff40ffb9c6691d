import jax
import numpy as np
import pytest

from mae.engines.jax import processes as module
from mae.engines.jax.processes import connect, connected_workers, report_lost_workers
from mae.engines.workers import Workers
from mae.errors import ConfigError, TrainingStopped


def test_nobody_to_work_with_is_a_mistake():
    with pytest.raises(ConfigError, match="needs coordinator=host:port process=index/count, or Slurm's srun"):
        connect(None, None, {})
    assert connected_workers() == Workers()


@pytest.mark.parametrize(("tasks", "gpus"), [("2", "all"), ("16", "0")])
def test_a_task_of_slurm_takes_all_gpus_where_it_is_alone_on_its_machine(tasks, gpus, monkeypatch):
    """`initialize` gives each task one, whatever their number."""
    told = jax.config.values["jax_cuda_visible_devices"]
    monkeypatch.setattr(jax.distributed, "initialize", lambda **_: jax.config.update("jax_cuda_visible_devices", "0"))
    try:
        connect(None, None, {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": tasks, "SLURM_STEP_NUM_NODES": "2"})
        assert jax.config.values["jax_cuda_visible_devices"] == gpus
    finally:
        jax.config.update("jax_cuda_visible_devices", told)


def test_named_processes_take_nothing_from_slurm(monkeypatch):
    given = {}
    monkeypatch.setattr(jax.distributed, "initialize", given.update)
    connect("10.0.0.1:12345", "1/2", {"SLURM_PROCID": "0"})
    assert given["cluster_detection_method"] == "deactivate"
    assert (given["process_id"], given["num_processes"]) == (1, 2)


def test_sums_are_exact_beyond_32_bits(monkeypatch):
    """Two processes that know the same: what is gathered has an axis more."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(module.multihost_utils, "process_allgather", lambda halves: np.stack([halves, halves]))
    values = np.array([2**40 + 1, -3, 0])
    assert connected_workers().add_up(values).tolist() == [2**41 + 2, -6, 0]


@pytest.mark.parametrize("kind", [jax.errors.JaxRuntimeError, ValueError])
def test_a_lost_process_is_told_in_one_line_and_other_errors_stay(kind):
    error = kind("UNKNOWN: Gloo AllGather failed\nand more")
    two = Workers(0, 2, add_up=lambda mine: mine)
    with (
        pytest.raises(TrainingStopped, match=r"worker 0 of 2 lost the others \(UNKNOWN: .*\); the same command"),
        report_lost_workers(two),
    ):
        raise error
    with pytest.raises(kind), report_lost_workers(Workers()):
        raise error
    with pytest.raises(ValueError, match="another"), report_lost_workers(two):
        raise ValueError("another mistake")
