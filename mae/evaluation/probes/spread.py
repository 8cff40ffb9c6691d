"""How much of their space features use: figures that need no labels. NumPy only."""

from dataclasses import dataclass

import numpy as np

_EPSILON = 1e-7


@dataclass(frozen=True)
class Spread:
    """Figures of a set of features. Collapsed features have a rank near 1 and a deviation near 0."""

    rank: float  # effective rank, between 1 and min(n, d)
    std: float  # of the unit-length features, mean over dimensions; at most about 1 / √d


def feature_spread(features: np.ndarray) -> Spread:
    """Effective rank and standard deviation of features (n, d).

    The rank is RankMe's (arXiv:2210.02885, section 3.1): the exponential of the entropy of the singular values' shares
    of their sum, features not centred.
    """
    features = np.asarray(features, np.float64)
    values = np.linalg.svd(features, compute_uv=False)
    shares = values / max(values.sum(), _EPSILON) + _EPSILON
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return Spread(rank=float(np.exp(-(shares * np.log(shares)).sum())), std=float(unit.std(axis=0).mean()))
