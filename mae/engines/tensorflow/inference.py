"""A model's output for evaluations: on one device, or on all replicas of a strategy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from mae.patches import normalise


def compiled(model: Any, function: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
    """`function` of normalised videos as a compiled function of (b, T, S, S, c) uint8, any b, on the first device.

    It gives what `function` returns, a tensor or a tuple of them, as float32 arrays.
    """
    a = model.architecture
    shape = (None, a.num_frames, a.image_size, a.image_size, a.in_channels)

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)], autograph=False)
    def call(pixels: tf.Tensor) -> Any:
        return function(normalise(pixels, a.in_channels))

    return lambda clips: tf.nest.map_structure(_array, call(clips))


def replicated(
    strategy: tf.distribute.Strategy, model: Any, function: Callable[[Any], Any]
) -> Callable[[np.ndarray], Any]:
    """As `compiled`, but each replica computes an equal share of the clips, whose number it has to divide.

    Compiled when it is first called, so make it once for a model. The results are in the order of the clips.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return compiled(model, function)

    def of_pixels(pixels: tf.Tensor) -> Any:
        return function(normalise(pixels, model.architecture.in_channels))

    @tf.function(autograph=False)
    def on_all(pixels: Any) -> list[Any]:
        return list(strategy.experimental_local_results(strategy.run(of_pixels, args=(pixels,))))

    def call(clips: np.ndarray) -> Any:
        shares = np.split(clips, replicas)
        values = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(shares[context.replica_id_in_sync_group])
        )
        return tf.nest.map_structure(lambda *parts: np.concatenate([_array(part) for part in parts]), *on_all(values))

    return call


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor, np.float32)
