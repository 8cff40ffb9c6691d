"""Fixed position tables, computed and never stored."""

import numpy as np


def sincos_table(positions: np.ndarray, width: int) -> np.ndarray:
    """Sines on even and cosines on odd columns (Attention is all you need, arXiv:1706.03762, section 3.5).

    Args:
        positions: (n,) indices.
        width: even number of columns.

    Returns:
        (n, width) float32.
    """
    columns = np.arange(width)
    angles = positions[:, None] / np.power(10000.0, 2 * (columns // 2) / width)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles)).astype("float32")


def position_table(kind: str, grid: tuple[int, int, int], width: int) -> np.ndarray:
    """The fixed table of `kind` for a token grid (t, h, w): (t·h·w, width) float32.

    `sincos` counts through the flattened grid, as the released models do; tokens one row apart then look as
    different as tokens far apart. `sincos_factorised` gives a third of the columns to each axis, which small
    models on small data learn from much sooner.
    """
    t, h, w = grid
    if kind == "sincos":
        return sincos_table(np.arange(t * h * w), width)
    spatial = width // 6 * 2
    widths = (width - 2 * spatial, spatial, spatial)
    axes = np.meshgrid(np.arange(t), np.arange(h), np.arange(w), indexing="ij")
    tables = [sincos_table(axis.ravel(), columns) for axis, columns in zip(axes, widths, strict=True)]
    return np.concatenate(tables, axis=1)
