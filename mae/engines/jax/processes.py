"""The processes that train together: `jax.distributed` connects them and adds up what each of them knows."""

import atexit
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from mae.cli.exit_status import EXIT_STOPPED
from mae.engines.workers import Workers
from mae.errors import ConfigError

# Of a process, before the others give it up.
SILENCE_S = 100
CONNECT_S = 300
# How errors begin that collectives raise; JAX passes some on as `ValueError`.
_OF_COLLECTIVES = re.compile("(UNKNOWN|UNAVAILABLE|INTERNAL|ABORTED|CANCELLED|DEADLINE_EXCEEDED): ")


def connect(coordinator: str | None, process: str | None, environment: Mapping[str, str] = os.environ) -> None:
    """Waits for all processes: those that `coordinator=` and `process=` name, else those that Slurm started.

    To be called before JAX looks for devices. A process computes on all GPUs that it sees, unless Slurm started several
    on a machine: each of those takes one GPU.

    Args:
        coordinator: host:port of process 0, which the others connect to.
        process: "index/count", from 0.

    Raises:
        ConfigError: neither is there, or they do not meet.
    """
    named: dict[str, Any] = {}
    if coordinator is not None and process is not None:
        index, _, count = process.partition("/")
        named = {"coordinator_address": coordinator, "process_id": int(index), "num_processes": int(count)}
        # Where Slurm is there, too, JAX would take what is not named from it.
        named["cluster_detection_method"] = "deactivate"
    elif "SLURM_PROCID" not in environment:
        raise ConfigError(
            "strategy=multiworker needs coordinator=host:port process=index/count, or Slurm's srun, to tell which "
            "machines work together: see docs/several_machines.md"
        )
    try:
        jax.distributed.initialize(
            **named, initialization_timeout=CONNECT_S, heartbeat_timeout_seconds=SILENCE_S
        )  # fmt: skip
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"strategy=multiworker cannot connect to its processes: {reason}") from error
    if not named and _is_alone_on_its_machine(environment):
        jax.config.update("jax_cuda_visible_devices", "all")  # JAX gives every task of Slurm a single GPU


def _is_alone_on_its_machine(environment: Mapping[str, str]) -> bool:
    """Whether Slurm started as many tasks as there are machines."""
    return environment.get("SLURM_STEP_NUM_TASKS", "") == environment.get("SLURM_STEP_NUM_NODES")


def connected_workers() -> Workers:
    """This process among those that are connected."""
    count = jax.process_count()
    return Workers() if count == 1 else Workers(jax.process_index(), count, _sum_over_processes)


def _sum_over_processes(values: np.ndarray) -> np.ndarray:
    # JAX would cut int64 down to 32 bits: they travel as halves.
    halves = multihost_utils.process_allgather(np.ascontiguousarray(values, np.int64).view(np.uint32))
    return np.ascontiguousarray(halves).view(np.int64).sum(axis=0)


@contextmanager
def report_lost_workers(workers: Workers) -> Iterator[None]:
    """Turns the errors that JAX raises when another process is gone into `TrainingStopped`."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if workers.count == 1 or not _OF_COLLECTIVES.match(str(error)):
            raise
        if jax.distributed.is_initialized():
            # At its end JAX would wait for the lost ones, and abort when they do not come.
            atexit.register(_leave_alone)
        raise workers.lost(error) from error


def _leave_alone() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_STOPPED)
