"""Processors, memory, disks, and what the environment says."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from mae.data.footprint import GIGABYTE, machine_memory
from mae.doctor.finding import Finding, fatal
from mae.files import cache_directory
from mae.monitoring.wandb_run import has_api_key

_LITTLE_GB = 5.0  # of free disk: a few checkpoints
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_CGROUP = Path("/sys/fs/cgroup")


def available_memory(proc: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUP) -> int:
    """Bytes that a new process may still take: what the system has left, or what its container allows it."""
    left = [machine_memory()]
    try:
        lines = dict(line.split(":", 1) for line in proc.read_text().splitlines())
        left.append(1024 * int(lines["MemAvailable"].split()[0]))
        limit = (cgroup / "memory.max").read_text().strip()
        if limit != "max":
            left.append(int(limit) - int((cgroup / "memory.current").read_text()))
    except (OSError, KeyError, ValueError):
        pass  # not Linux, or another kind of container: what is known is taken
    return min(left)


def usable_cores(cgroup: Path = _CGROUP) -> float:
    """Cores that this process may use: those it is bound to, or the share that its container gets."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return cores if quota == "max" else min(cores, int(quota) / int(period))
    except (OSError, ValueError):
        return cores


def check_machine(run_dir: Path, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Of a run that would write to `run_dir`."""
    return [
        _check_threads(environment, usable_cores(), os.cpu_count() or 1),
        _check_load(os.getloadavg()[0], usable_cores()),
        Finding("memory", f"{available_memory() / GIGABYTE:.1f} of {machine_memory() / GIGABYTE:.1f} GB are free"),
        check_disk("run_dir", run_dir),
        check_disk("cache", cache_directory()),
        _check_wandb(environment),
    ]


def _check_threads(environment: Mapping[str, str], cores: float, seen: int) -> Finding:
    given = [f"{name}={environment[name]}" for name in _THREADS if environment.get(name)]
    text = ", ".join([f"{cores:g} of {seen} cores are this process'", *given])
    if cores < seen:
        workers = max(1, int(cores))
        return Finding("threads", text, f"data.workers={workers}: by default one video is decoded for each core seen")
    slow = [name for name in given if name.endswith("=1")]
    if slow and cores > 1:
        return Finding("threads", text, f"unset {slow[0].partition('=')[0]}: on a CPU the model computes on one core")
    return Finding("threads", text)


def _check_load(load: float, cores: float) -> Finding:
    text = f"{load:.1f} processes want to run on {cores:g} cores"
    remedy = "others compute here at the same time: expect a share of the clips/s below"
    return Finding("load", text, remedy if load > cores + 0.5 else None)


def check_disk(topic: str, folder: Path) -> Finding:
    """Whether a folder can be written, or made, and how much room there is."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return fatal(topic, f"{folder} cannot be written", "give another place, or make it writable")
    free = shutil.disk_usage(there).free / GIGABYTE
    text = f"{folder}: {free:.1f} GB are free"
    if free < _LITTLE_GB:
        return Finding(topic, text, "make room: a checkpoint takes three times the size of the model")
    return Finding(topic, text)


def _check_wandb(environment: Mapping[str, str]) -> Finding:
    mode = environment.get("WANDB_MODE")
    named = f", WANDB_MODE={mode}" if mode else ""
    if has_api_key(environment):
        return Finding("W&B", f"an API key is configured{named}: wandb.mode=auto logs online")
    return Finding("W&B", f"no API key{named}: wandb.mode=auto logs offline; `wandb login` changes that")
