"""A model's output for evaluations, on the devices of this process."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from mae.patches import normalise


def compiled(
    strategy: tf.distribute.Strategy, model: Any, function: Callable[[Any], Any]
) -> Callable[[np.ndarray], Any]:
    """See `mae.engines.engine.Engine.inference`; of the replicas of this process.

    Compiled when it is first called, so make it once for a model.
    """
    a = model.architecture
    spec = tf.TensorSpec((None, *a.video_shape), tf.uint8)

    def of_pixels(pixels: tf.Tensor) -> Any:
        return function(normalise(pixels, a.statistics))

    devices = strategy.extended.worker_devices
    if len(devices) == 1:
        call = tf.function(of_pixels, input_signature=[spec], autograph=False)
        return lambda clips: tf.nest.map_structure(_array, call(tf.constant(clips)))

    @tf.function(autograph=False)
    def on_all(pixels: Any) -> list[Any]:
        return list(strategy.experimental_local_results(strategy.run(of_pixels, args=(pixels,))))

    def run(clips: np.ndarray) -> Any:
        missing = -len(clips) % len(devices)
        filled = np.concatenate([clips, np.zeros((missing, *clips.shape[1:]), clips.dtype)]) if missing else clips
        shares = np.split(filled, len(devices))
        values = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(shares[context.replica_id_in_sync_group % len(devices)])
        )
        return tf.nest.map_structure(lambda *parts: _joined(parts)[: len(clips)], *on_all(values))

    return run


def _joined(parts: tuple[Any, ...]) -> np.ndarray:
    return np.concatenate([_array(part) for part in parts])


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor, np.float32)
