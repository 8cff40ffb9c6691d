"""Devices: which distribution strategy runs, and in which precision."""

from pathlib import Path

import keras
import tensorflow as tf

from mae.errors import ConfigError

_NVIDIA_DRIVER = Path("/dev/nvidiactl")


def make_strategy(name: str) -> tf.distribute.Strategy:
    """The strategy for `strategy=`.

    - `auto`: all GPUs of this machine mirrored; one GPU or none: no distribution.
    - `single`: the first GPU, or the CPU.
    - `mirrored`: all GPUs; without any, all logical CPU devices, at least two of either.

    Raises:
        ConfigError: `mirrored` on a machine with a single device.
    """
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    devices = gpus or [device.name for device in tf.config.list_logical_devices("CPU")]
    if name == "mirrored" and len(devices) < 2:
        raise ConfigError(f"strategy=mirrored needs at least two devices, found {len(devices)} ({devices[0]})")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        # Logical CPU devices have no NCCL; TensorFlow would warn about that on every run.
        reduction = None if gpus else tf.distribute.ReductionToOneDevice()
        return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)
    return tf.distribute.OneDeviceStrategy(devices[0])


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """For the console: "2 × NVIDIA …" or "CPU", and whether a GPU is there that TensorFlow does not see."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        count = strategy.num_replicas_in_sync
        unseen = ", though an NVIDIA driver is here: pip install -e '.[gpu]'" if _NVIDIA_DRIVER.exists() else ""
        return ("CPU" if count == 1 else f"{count} logical CPU devices") + unseen
    model = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"{strategy.num_replicas_in_sync} × {model}"


def compute_dtype(precision: str) -> keras.dtype_policies.DTypePolicy:
    """The Keras dtype policy for `precision=`; weights stay float32 in every one.

    `auto` is bfloat16 where all GPUs have it (compute capability 8.0), and float32 otherwise.
    """
    if precision == "auto":
        gpus = tf.config.list_physical_devices("GPU")
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        capable = bool(gpus) and all(d.get("compute_capability", (0, 0)) >= (8, 0) for d in details)
        precision = "bfloat16" if capable else "float32"
    return keras.dtype_policies.DTypePolicy("mixed_bfloat16" if precision == "bfloat16" else "float32")
