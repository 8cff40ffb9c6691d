"""What features say: the nearest neighbours of a few clips, and all of them on a map."""

from dataclasses import dataclass

import numpy as np

from mae.evaluation.probes.looked_at import LookedAt

QUERIES, NEIGHBOURS = 5, 6
_FEW = 12  # clips: a map of fewer is a projection, with nothing to be learnt


@dataclass(frozen=True)
class Neighbour:
    """A clip beside the one that was asked for."""

    index: int
    similarity: float  # cosine, of features less their mean
    has_same_label: bool | None  # None: there are no labels


def nearest(looked_at: LookedAt) -> list[tuple[int, list[Neighbour]]]:
    """For a few clips, spread over the list, the most similar others, most similar first."""
    from sklearn.neighbors import NearestNeighbors

    centred = looked_at.features - looked_at.features.mean(axis=0)
    count = len(centred)
    if count < 2:
        return []
    queries = np.unique(np.linspace(0, count - 1, min(QUERIES, count)).astype(int))
    search = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, count), metric="cosine").fit(centred)
    distances, indices = search.kneighbors(centred[queries])
    labels = looked_at.labels
    made = []
    for query, row, far in zip(queries, indices, distances, strict=True):
        others = [(int(i), 1 - float(d)) for i, d in zip(row, far, strict=True) if i != query][:NEIGHBOURS]
        same = [None if labels is None else bool(labels[i] == labels[query]) for i, _ in others]
        made.append((int(query), [Neighbour(i, s, is_same) for (i, s), is_same in zip(others, same, strict=True)]))
    return made


def on_a_map(features: np.ndarray) -> tuple[np.ndarray, str]:
    """(k, d) → (k, 2), and how it was done: t-SNE of the principal components, or these alone of very few clips."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    count, width = features.shape
    # One thread: at these sizes several wait for each other, and for a long time where others compute here, too.
    with threadpool_limits(1):
        projection = PCA(n_components=min(count, width, 50 if count >= _FEW else 2), random_state=0)
        flat = projection.fit_transform(features)
        if count < _FEW:
            return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))), "two principal components"
        perplexity = min(30.0, (count - 1) / 3)
        return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(flat), "t-SNE"
