"""Features of a frozen encoder: all tokens of a clip seen, nothing masked."""

from typing import Any

import numpy as np
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
    patches = patchify(normalised(videos, a.statistics), a.tubelet)
    return ops.cast(model.encoder(patches, training=False), "float32")


def pool(model: Any, tokens: Any) -> Any:
    """One vector for each clip: (b, n, d) → (b, d).

    The mean of the tokens, or the first token for a classifier whose head reads that. Norms after the pooling are
    left out: where the head is fresh they say nothing, and probes normalise themselves.
    """
    check_shape("tokens", tokens, batch=None, tokens=None, width=model.architecture.embed_dim)
    return tokens[:, 0] if getattr(model, "pooling", "mean") == "first" else ops.mean(tokens, axis=1)


def pool_cells(model: Any, tokens: Any, most: int) -> Any:
    """Means of neighbouring tokens of each time: (b, t·h·w, d) → (b, t·rows·columns, d).

    Attention over the features stays affordable whatever the patches, and time and rough place stay visible.

    Args:
        most: rows and columns of cells into which a frame is divided, or as many as it has tokens.
    """
    t, h, w = model.architecture.grid
    check_shape("tokens", tokens, batch=None, tokens=t * h * w, width=model.architecture.embed_dim)
    grid = ops.reshape(tokens, (-1, t, h, w, tokens.shape[-1]))
    cells = ops.einsum("bthwd,hr,wc->btrcd", grid, _means_over_runs(h, most), _means_over_runs(w, most))
    return ops.reshape(cells, (-1, t * min(h, most) * min(w, most), tokens.shape[-1]))


def _means_over_runs(length: int, most: int) -> np.ndarray:
    """(length, min(length, most)): the matrix that averages over runs of nearly the same length."""
    matrix = np.zeros((length, min(length, most)), np.float32)
    for column, run in enumerate(np.array_split(np.arange(length), min(length, most))):
        matrix[run, column] = 1 / len(run)
    return matrix
