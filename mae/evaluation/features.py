"""Features of a frozen encoder: all tokens of a clip seen, nothing masked."""

from typing import Any

from keras import ops

from mae.checks import check_shape, check_videos
from mae.patches import normalised, patchify


def encode(model: Any, videos: Any) -> Any:
    """The tokens of a `Pretrainer`'s or `Classifier`'s encoder.

    A pre-trained encoder ends with a LayerNorm; that of a classifier that averages has none, its norm comes after.

    Args:
        videos: (b, T, H, W, c) floats normalised with `mae.patches.normalise`, or uint8, which are normalised here.

    Returns:
        (b, t·h·w, d) float32, in row-major (t, h, w) order.

    Raises:
        ValueError: videos of other sizes than the model's, or of other integers.
    """
    a = model.architecture
    check_videos(videos, a)
    patches = patchify(normalised(videos, a.in_channels), a.tubelet)
    return ops.cast(model.encoder(patches, training=False), "float32")


def pool(model: Any, tokens: Any) -> Any:
    """One vector for each clip: (b, n, d) → (b, d).

    The mean of the tokens, or the first token for a classifier whose head reads that. Norms after the pooling are
    left out: where the head is fresh they say nothing, and probes normalise themselves.
    """
    check_shape("tokens", tokens, batch=None, tokens=None, width=model.architecture.embed_dim)
    return tokens[:, 0] if getattr(model, "pooling", "mean") == "first" else ops.mean(tokens, axis=1)
