"""Devices: which distribution strategy runs, and in which precision."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.eager import context

from mae.engines.nvidia import has_driver
from mae.engines.rate import square_matrix
from mae.errors import ConfigError
from mae.presets import Architecture

ACCELERATOR_CHUNK = 100_000_000  # scores; 400 MB in float32
# Of a worker, before the others give it up; TensorFlow's own ten seconds end runs on machines that are only slow.
SILENCE_S = 100


def make_strategy(name: str) -> tf.distribute.Strategy:
    """The strategy for `strategy=`.

    - `auto`: all GPUs of this machine mirrored; one GPU or none: no distribution.
    - `single`: the first GPU, or the CPU.
    - `mirrored`: all GPUs; without any, all logical CPU devices, at least two of either.
    - `multiworker`: all GPUs, or the CPU, of every machine of a cluster. To be made before any TensorFlow operation;
      returns once all of its processes are there.
    - `tpu`: all cores of the TPU that the environment names, or of this machine's.

    Raises:
        ConfigError: `mirrored` on a machine with a single device; no cluster, or no TPU, is found.
    """
    if name == "multiworker":
        return _multiworker()
    if name == "tpu":
        return _tpu()
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    devices = gpus or [device.name for device in tf.config.list_logical_devices("CPU")]
    if name == "mirrored" and len(devices) < 2:
        raise ConfigError(f"strategy=mirrored needs at least two devices, found {len(devices)} ({devices[0]})")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        # Logical CPU devices have no NCCL; TensorFlow would warn about that on every run.
        reduction = None if gpus else tf.distribute.ReductionToOneDevice()
        return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)
    return tf.distribute.OneDeviceStrategy(devices[0])


def split_cpu(devices: int) -> None:
    """Makes so many logical devices of the CPU."""
    logical = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)


def _multiworker() -> tf.distribute.Strategy:
    resolver = cluster_resolver(os.environ)
    try:
        with _longest_silence(SILENCE_S):
            return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise ConfigError(f"strategy=multiworker cannot connect to its workers: {error}") from error


@contextmanager
def _longest_silence(seconds: float) -> Iterator[None]:
    """Within it a strategy that connects to others is patient with them; it has no argument for that."""
    service = context.context()
    configure = service.configure_coordination_service
    service.configure_coordination_service = partial(configure, heartbeat_timeout_in_ms=int(1000 * seconds))
    try:
        yield
    finally:
        service.configure_coordination_service = configure


def cluster_resolver(environment: Mapping[str, str]) -> Any:
    """Who the workers are: `TF_CONFIG` says it, else the variables that Slurm's `srun` sets.

    Raises:
        ConfigError: neither is there, or what is there cannot be read.
    """
    resolvers = tf.distribute.cluster_resolver
    try:
        if environment.get("TF_CONFIG"):
            resolver = resolvers.TFConfigClusterResolver()
        elif "SLURM_PROCID" in environment:
            # Without GPUs TensorFlow's resolver has nothing to count tasks by; so it is told of one for each.
            cpu = {} if has_driver() else {"gpus_per_node": 2**10, "gpus_per_task": 1, "auto_set_gpu": False}
            # Two jobs may share a machine.
            port = 20000 + int(environment.get("SLURM_JOB_ID", "0")) % 10000
            resolver = resolvers.SlurmClusterResolver(port_base=port, **cpu)
        else:
            raise ConfigError(
                "strategy=multiworker needs TF_CONFIG, or Slurm's srun, to tell which machines work together: "
                "see docs/several_machines.md"
            )
        jobs = resolver.cluster_spec().as_dict()
        if resolver.task_type not in jobs or not {"chief", "worker"} >= jobs.keys():
            raise ValueError(f"task {resolver.task_type!r} of a cluster of {', '.join(jobs) or 'nothing'}")
        if not 0 <= int(resolver.task_id) < len(jobs[resolver.task_type]):
            raise ValueError(f"task index {resolver.task_id} of {len(jobs[resolver.task_type])} tasks")
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, OSError) as error:
        if isinstance(error, ConfigError):
            raise
        source = "TF_CONFIG" if environment.get("TF_CONFIG") else "Slurm's environment"
        raise ConfigError(f"{source} does not describe a cluster of workers: {error}") from error
    return resolver


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(os.environ.get("TPU_NAME", "local"))
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0].split("{{")[0].strip()
        raise ConfigError(f"strategy=tpu finds no TPU ({reason}): set TPU_NAME, or give strategy=auto") from error


def describe_devices(strategy: tf.distribute.Strategy, workers: int = 1) -> str:
    """For the console: "2 × NVIDIA …" or "CPU"; with several workers, those of this one."""
    count = strategy.num_replicas_in_sync // workers
    each = f" in each of {workers} workers" if workers > 1 else ""
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return f"{count} TPU cores"
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return ("CPU" if count == 1 else f"{count} logical CPU devices") + each
    model = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"{count} × {model}{each}"


def most_bytes_in_use() -> int | None:
    """See `mae.engines.engine.Engine.device_memory`; of TPUs TensorFlow tells none."""
    gpus = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices("GPU")]
    return max((tf.config.experimental.get_memory_info(gpu)["peak"] for gpu in gpus), default=None)


def product(strategy: tf.distribute.Strategy, dtype: str, size: int) -> Callable[[int], None]:
    """See `mae.engines.engine.Engine.product`."""
    with tf.device(strategy.extended.worker_devices[0]):
        matrix = tf.cast(square_matrix(size), dtype)

    def run(times: int) -> None:
        with tf.device(matrix.device):
            made = [tf.linalg.matmul(matrix, matrix) for _ in range(times)][-1]
        made[0, 0].numpy()

    return run


def compute_dtype(precision: str) -> keras.dtype_policies.DTypePolicy:
    """The Keras dtype policy for `precision=`; weights stay float32 in every one.

    `auto` is bfloat16 where all GPUs have it (compute capability 8.0) and on TPUs, and float32 otherwise.
    """
    if precision == "auto":
        if tf.config.list_physical_devices("TPU"):
            return keras.dtype_policies.DTypePolicy("mixed_bfloat16")
        gpus = tf.config.get_visible_devices("GPU")
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        capable = bool(gpus) and all(d.get("compute_capability", (0, 0)) >= (8, 0) for d in details)
        precision = "bfloat16" if capable else "float32"
    return keras.dtype_policies.DTypePolicy("float32" if precision == "float32" else f"mixed_{precision}")


def suited_to_devices(architecture: Architecture, given: Collection[str]) -> Architecture:
    """The architecture with chunks of attention as the devices want them, unless `attention_chunk` is given.

    The preset's chunk fits a CPU's cache. GPUs and TPUs want few large products instead.
    """
    if "attention_chunk" in given or not any(tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU")):
        return architecture
    return replace(architecture, attention_chunk=ACCELERATOR_CHUNK)
