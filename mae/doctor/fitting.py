"""Whether a run fits: the memory of its step and of the clips that wait, beside what is there."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mae.data.footprint import GIGABYTE
from mae.doctor.finding import Finding, fatal
from mae.doctor.machine import available_memory
from mae.doctor.memory import StepMemory, parameters, step_memory
from mae.errors import ConfigError
from mae.pretraining.config import PretrainConfig
from mae.training.clips import clip_spec, clips_in_memory

_IMPORTS = {"tensorflow": 0.7e9, "jax": 0.4e9}  # bytes of a process before it computes
_NVIDIA_SMI = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]


def check_memory(config: PretrainConfig, engine: Any) -> list[Finding]:
    """What the run takes in memory, and whether it is there; the largest way to save some where it is not."""
    a = engine.suited(replace(config.model.architecture, remat=config.remat), config.model.given)
    parts = engine.num_replicas * config.accumulate
    clips = -(-config.clips_per_step // parts)
    on_cpu = engine.describe_devices().startswith("CPU")
    memory = step_memory(
        a,
        visible=a.num_tokens - config.num_masked,
        predicted=config.num_predicted[0],
        clips=clips,
        accumulates=config.accumulate > 1,
        averages=config.ema_decay is not None,
        half=engine.dtype_policy(config.precision).compute_dtype != "float32",
        jax_on_cpu=on_cpu and engine.name == "jax",
    )
    try:
        footprint = clips_in_memory(config, clip_spec(config, 1, a), 1, kept=config.probe.clips)
    except ConfigError as error:
        return [fatal("memory", str(error), "see above")]
    host = footprint.bytes + _IMPORTS[engine.name]
    clips_and_imports = f"the imports and {footprint.bytes / GIGABYTE:.2f} GB of decoded clips"
    told = f"a step of {clips} clips of {config.model.preset} ({parameters(a) / 1e6:.0f} M weights)"
    text = f"{told} takes about {memory.total / GIGABYTE:.1f} GB ({_parts(memory)})"
    if on_cpu:
        text = f"{text}, with {clips_and_imports}"
        return [_compare(text, memory.total + host, available_memory(), lambda more: _what_saves(config, memory, more))]
    remedy = "a smaller batch_size, data.prefetch=1 or fewer data.workers"
    found = [_compare(f"{clips_and_imports} take", host, available_memory(), lambda _: remedy)]
    free = _free_on_gpu()
    if free is None:
        return [Finding("memory", f"{text}; how much of a device is free cannot be asked here"), *found]
    text = f"{text} by a formula that was checked on CPUs only:"
    return [_compare(text, memory.total, free, lambda more: _what_saves(config, memory, more)), *found]


def _parts(memory: StepMemory) -> str:
    shares = (("engine", memory.runtime), ("weights and optimizer", memory.weights), ("of the clips", memory.kept))
    return ", ".join(f"{size / GIGABYTE:.2f} {name}" for name, size in shares)


def _compare(text: str, needed: float, free: int, remedy: Callable[[float], str]) -> Finding:
    """Whether the bytes that are needed are free; `remedy` is told how many are missing."""
    text = f"{text} {needed / GIGABYTE:.1f} GB, and {free / GIGABYTE:.1f} GB are free"
    if needed <= free:
        return Finding("memory", f"{text}: it fits")
    return fatal("memory", f"{text}: it does NOT fit", remedy(needed - free))


def _what_saves(config: PretrainConfig, memory: StepMemory, missing: float) -> str:
    """The settings that make it fit, or the most that can be done."""
    if memory.kept <= missing:
        return "a smaller model=, or a smaller model.image_size or model.num_frames: without any clips it would not fit"
    parts = config.accumulate
    while memory.kept * config.accumulate / parts > memory.kept - missing and parts < config.clips_per_step:
        parts *= 2
    blocks = "" if config.remat == "blocks" else ", or remat=blocks first"
    return f"accumulate={parts} computes the same batch in {parts} parts{blocks}"


def _free_on_gpu() -> int | None:
    """Bytes that the fullest of the NVIDIA GPUs has left; None where that cannot be asked."""
    try:
        ended = subprocess.run(_NVIDIA_SMI, capture_output=True, text=True, timeout=30, check=True)
        return min(int(line) for line in ended.stdout.split()) * 1024**2
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
