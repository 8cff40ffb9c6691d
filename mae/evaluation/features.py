"""Features of a frozen encoder: all tokens of a clip seen, nothing masked."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

from mae.patches import check_channels, normalise, patchify


def encode(model: Any, videos: Any) -> Any:
    """The tokens of a `Pretrainer`'s or `Classifier`'s encoder.

    A pre-trained encoder ends with a LayerNorm; that of a classifier that averages has none, its norm comes after.

    Args:
        videos: (b, T, H, W, c) normalised with `mae.patches.normalise`.

    Returns:
        (b, t·h·w, d) float32, in row-major (t, h, w) order.
    """
    check_channels(videos.shape, model.architecture.in_channels)
    return ops.cast(model.encoder(patchify(videos, model.architecture.tubelet), training=False), "float32")


def pool(model: Any, tokens: Any) -> Any:
    """One vector for each clip: (b, n, d) → (b, d).

    The mean of the tokens, or the first token for a classifier whose head reads that. Norms after the pooling are
    left out: where the head is fresh they say nothing, and probes normalise themselves.
    """
    return tokens[:, 0] if getattr(model, "pooling", "mean") == "first" else ops.mean(tokens, axis=1)


def compiled(model: Any, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`function` of normalised videos as a compiled function of (b, T, S, S, c) uint8, any b."""
    a = model.architecture
    shape = (None, a.num_frames, a.image_size, a.image_size, a.in_channels)

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)])
    def call(pixels: tf.Tensor) -> Any:
        return function(normalise(tf.cast(pixels, tf.float32) / 255, a.in_channels))

    return call
