"""Devices: which of them compute, and in which precision."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import jax
import keras

from mae.engines.rate import square_matrix
from mae.errors import ConfigError
from mae.files import cache_directory
from mae.presets import Architecture

CPU_CHUNK = 20_000_000  # scores of attention held at once; XLA loops over chunks at a higher price than TensorFlow


def prepare(deterministic: bool, device: str, environment: Mapping[str, str] = os.environ) -> None:
    """Settings of the whole process that JAX reads before it looks for devices.

    Compiled steps are kept in the user's cache directory, unless JAX_COMPILATION_CACHE_DIR says where else.
    """
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    if deterministic:
        os.environ["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    if "JAX_COMPILATION_CACHE_DIR" not in environment:
        jax.config.update("jax_compilation_cache_dir", str(cache_directory() / "jax"))
        # A model is made by many small programs; they take as long as the step.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def split_cpu(devices: int) -> None:
    """Makes so many devices of the CPU."""
    jax.config.update("jax_num_cpu_devices", devices)


def chosen_devices(strategy: str) -> list[jax.Device]:
    """The devices for `strategy=`, those of a process beside each other, in the order of the processes.

    - `auto`: all GPUs or TPU cores of this machine; without any, the CPU.
    - `single`: the first device.
    - `mirrored`: all devices, at least two; of a CPU as many as XLA was told to see.
    - `multiworker`: all devices of all processes, which are connected before.
    - `tpu`: all cores of this machine's TPU.

    Raises:
        ConfigError: the machine has no such devices.
    """
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    if strategy == "tpu" and devices[0].platform != "tpu":
        raise ConfigError(f"strategy=tpu finds no TPU, only {devices[0].platform.upper()}: give strategy=auto")
    if strategy == "mirrored" and len(devices) < 2:
        raise ConfigError(f"strategy=mirrored needs at least two devices, found 1 ({devices[0]})")
    if strategy == "single" or (strategy == "auto" and devices[0].platform == "cpu"):
        return devices[:1]
    return devices


def describe_devices(devices: list[jax.Device], workers: int = 1) -> str:
    """For the console: "2 × NVIDIA …" or "CPU"; with several workers, those of this one."""
    count, kind = len(devices) // workers, devices[0].device_kind
    each = f" in each of {workers} workers" if workers > 1 else ""
    if devices[0].platform == "cpu":
        return ("CPU" if count == 1 else f"{count} logical CPU devices") + each
    return f"{count} × {kind}{each}"


def most_bytes_in_use(devices: list[jax.Device]) -> int | None:
    """See `mae.engines.engine.Engine.device_memory`."""
    peaks = [(device.memory_stats() or {}).get("peak_bytes_in_use") for device in devices]
    return max((peak for peak in peaks if peak is not None), default=None)


def product(device: jax.Device, dtype: str, size: int) -> Callable[[int], None]:
    """See `mae.engines.engine.Engine.product`."""
    matrix = jax.device_put(square_matrix(size), device).astype(dtype)
    multiply = jax.jit(jax.numpy.matmul)

    def run(times: int) -> None:
        jax.block_until_ready([multiply(matrix, matrix) for _ in range(times)][-1])

    return run


def compute_dtype(precision: str, devices: list[jax.Device]) -> keras.dtype_policies.DTypePolicy:
    """The Keras dtype policy for `precision=`; weights stay float32 in every one.

    `auto` is bfloat16 where all GPUs have it (compute capability 8.0) and on TPUs, and float32 otherwise.
    """
    if precision == "auto":
        capable = all(device.platform == "tpu" or _capability(device) >= 8.0 for device in devices)
        precision = "bfloat16" if capable else "float32"
    return keras.dtype_policies.DTypePolicy("float32" if precision == "float32" else f"mixed_{precision}")


def _capability(device: jax.Device) -> float:
    return float(getattr(device, "compute_capability", 0)) if device.platform == "gpu" else 0.0


def suited_to_devices(architecture: Architecture, given: Collection[str], devices: list[jax.Device]) -> Architecture:
    """The architecture, computed as is fastest on these devices (docs/benchmarks.md), but for what is given.

    XLA compiles whole steps: on a GPU it does by itself what `mae.models.lean` is for.
    """
    best: dict[str, Any] = {"attention": "fused", "lean": False}
    if devices[0].platform == "cpu":
        best = {"attention_chunk": CPU_CHUNK}
    return replace(architecture, **{name: value for name, value in best.items() if name not in given})
