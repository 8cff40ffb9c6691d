"""A model's output on all replicas of a strategy, for evaluations."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from mae.evaluation.features import compiled
from mae.patches import normalise

Logits = Callable[[np.ndarray], np.ndarray]


def replicated_logits(strategy: tf.distribute.Strategy, model: Any) -> Logits:
    """Logits of a classifier as a function of (b, T, S, S, c) uint8, b a multiple of the number of replicas.

    Compiled when it is first called, so make it once for a model. Each replica computes an equal share of the clips;
    the result is float32 (b, classes) in the order of the clips.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        one = compiled(model, lambda videos: model(videos, training=False))
        return lambda clips: np.asarray(one(clips), np.float32)

    def logits(pixels: tf.Tensor) -> Any:
        return model(normalise(tf.cast(pixels, tf.float32) / 255, model.architecture.in_channels), training=False)

    @tf.function
    def on_all(pixels: Any) -> list[Any]:
        return list(strategy.experimental_local_results(strategy.run(logits, args=(pixels,))))

    def call(clips: np.ndarray) -> np.ndarray:
        shares = np.split(clips, replicas)
        values = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(shares[context.replica_id_in_sync_group])
        )
        return np.concatenate([np.asarray(share, np.float32) for share in on_all(values)])

    return call
