"""Which training videos a probe with few labels sees."""

from collections.abc import Sequence

import numpy as np

from mae.seeds import generator


def few_of_each_class(labels: Sequence[int] | np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Places of `count` videos of each class, ascending; of a class that has fewer, all; None: all of every class.

    With the same seed the videos of a smaller count are among those of a larger one, so figures over the number of
    labels are of growing sets.
    """
    labels = np.asarray(labels)
    if count is None:
        return np.arange(len(labels))
    drawn = [
        generator(seed, "few labels", int(label)).permutation(np.flatnonzero(labels == label))[:count]
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate(drawn))
