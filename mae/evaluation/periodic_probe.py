"""What a pre-training run can say about its encoder now and then: nearest neighbours and feature rank, in seconds.

The reconstruction loss does not tell which checkpoint is good. These figures are of a fixed small set of clips, so they
are comparable within a run, and not between runs with other clips.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from mae.data.read_ahead import read_ahead
from mae.engines.tensorflow.inference import compiled
from mae.errors import BadVideo
from mae.evaluation.features import encode, pool
from mae.evaluation.metrics import accuracy
from mae.evaluation.probes.knn import leave_one_out_knn
from mae.evaluation.probes.spread import feature_spread

_LEAST_OF_A_CLASS = 4  # videos


class PeriodicProbe:
    """Figures of the encoder of one model on fixed clips.

    Args:
        model: a `Pretrainer` or `Classifier`; its weights may change between calls.
        clips: (k, T, S, S, c) uint8.
        labels: (k,) classes; None: only what needs no labels.
        batch_size: clips computed at a time.
    """

    def __init__(self, model: Any, clips: np.ndarray, labels: np.ndarray | None, batch_size: int) -> None:
        self._clips = clips
        self._labels = labels
        self._batch_size = batch_size
        self._pooled = compiled(model, lambda videos: pool(model, encode(model, videos)))

    def figures(self) -> dict[str, float]:
        """`feature_rank`, `feature_std` and, with labels of at least two classes, `probe_top1`.

        The latter is the share of clips whose class a vote of their 20 nearest neighbours among the others finds; of
        small sets fewer vote, as many as an average class has other members.
        """
        batches = np.split(self._clips, range(self._batch_size, len(self._clips), self._batch_size))
        features = np.concatenate([np.asarray(self._pooled(batch)) for batch in batches])
        spread = feature_spread(features)
        made = {"feature_rank": spread.rank, "feature_std": spread.std}
        if self._labels is None or len(np.unique(self._labels)) < 2:
            return made
        classes = int(self._labels.max()) + 1
        neighbours = int(np.clip(len(features) // len(np.unique(self._labels)) - 1, 1, 20))
        votes = leave_one_out_knn(features, self._labels, classes, k=neighbours)
        return {"probe_top1": accuracy(votes, self._labels)[0], **made}


def spread_evenly(labels: Iterable[int] | None, count: int, size: int) -> list[int]:
    """Places of at most `size` of `count` videos: equally many of each class, each class spread over the list.

    Without labels they are spread over the list alone. Classes with fewer videos leave room that stays free; of very
    many classes some are left out, so that each has neighbours of its own.
    """
    if labels is None:
        return [int(place) for place in np.linspace(0, count, min(size, count), endpoint=False)]
    labels = np.asarray(list(labels))
    classes = np.unique(labels)
    most = max(size // _LEAST_OF_A_CLASS, 1)
    if len(classes) > most:
        classes = classes[np.linspace(0, len(classes), most, endpoint=False).astype(int)]
    share = size // len(classes)
    places: list[int] = []
    for number in classes:
        members = np.flatnonzero(labels == number)
        chosen = np.linspace(0, len(members), min(share, len(members)), endpoint=False).astype(int)
        places += members[chosen].tolist()
    return sorted(places)


def readable_clips(read: Callable[[int], np.ndarray], places: Iterable[int]) -> tuple[np.ndarray, list[int]]:
    """The clips of those of the places that can be read, (k, T, S, S, c), and the places; none: `BadVideo`."""
    clips, kept, reason = [], [], "no video to read"
    for place, clip in read_ahead(places, read):
        if isinstance(clip, BadVideo):
            reason = str(clip)
            continue
        clips.append(clip)
        kept.append(place)
    if not clips:
        raise BadVideo(reason)
    return np.stack(clips), kept
