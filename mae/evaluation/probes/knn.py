"""Nearest neighbours among frozen features. NumPy only; nothing is trained and nothing is random."""

import numpy as np

NEIGHBOURS = 20
TEMPERATURE = 0.07
_CHUNK = 1024  # test rows whose similarities are in memory at a time


def knn_probe(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    num_classes: int,
    k: int = NEIGHBOURS,
    temperature: float | None = TEMPERATURE,
) -> np.ndarray:
    """The vote of the `k` training rows of the largest cosine similarity.

    A neighbour's vote weighs exp(similarity / temperature) (instance discrimination, arXiv:1805.01978, section 3.4, as
    used for DINO, arXiv:2104.14294). With `temperature` None all weigh the same, and the sum of their similarities
    decides between classes of equally many votes.

    Args:
        train: (n, d) features.
        labels: (n,) classes.
        test: (m, d).
        k: at most n are taken.

    Returns:
        (m, num_classes) float32, rows that sum to 1.
    """
    train, test = _unit(train), _unit(test)
    chunks = [test[start : start + _CHUNK] @ train.T for start in range(0, len(test), _CHUNK)]
    return np.concatenate([_votes(chunk, labels, num_classes, k, temperature) for chunk in chunks])


def leave_one_out_knn(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    k: int = NEIGHBOURS,
    temperature: float | None = TEMPERATURE,
) -> np.ndarray:
    """As `knn_probe` of each row among all the others: for a small set that cannot be split."""
    unit = _unit(features)
    similarities = unit @ unit.T
    np.fill_diagonal(similarities, -np.inf)
    return _votes(similarities, labels, num_classes, min(k, len(features) - 1), temperature)


def _unit(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _votes(
    similarities: np.ndarray, labels: np.ndarray, num_classes: int, k: int, temperature: float | None
) -> np.ndarray:
    """(m, n) similarities to the training rows → (m, num_classes) shares of the vote."""
    # A stable sort: of equally similar rows the earlier one is the nearer.
    nearest = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(similarities, nearest, axis=1).astype(np.float64)
    if temperature is None:
        # One vote each, and so little of the similarity that it never outweighs a vote.
        weights = 1 + values / (4 * values.shape[1])
    else:
        weights = np.exp((values - values.max(axis=1, keepdims=True)) / temperature)
    votes = np.zeros((len(similarities), num_classes))
    np.add.at(votes, (np.arange(len(votes))[:, None], np.asarray(labels)[nearest]), weights)
    return (votes / votes.sum(axis=1, keepdims=True)).astype(np.float32)
