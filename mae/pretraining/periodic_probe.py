"""The periodic probe of a run: which clips it looks at, when, and how it is told."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mae.data.clips import ClipReader
from mae.data.lists.video_index import VideoIndex
from mae.data.read_ahead import read_ahead
from mae.engines.engine import Engine
from mae.errors import BadVideo, ConfigError
from mae.evaluation.features import encode, pool
from mae.evaluation.metrics import accuracy
from mae.evaluation.probes.knn import leave_one_out_knn
from mae.evaluation.probes.looked_at import LookedAt
from mae.evaluation.probes.spread import feature_spread
from mae.pretraining.config import PeriodicProbeConfig
from mae.signals import Check
from mae.training.meter import Record

# Clips computed at a time: they show the encoder all of their tokens, several times what it trains on.
BATCH = 8
_LEAST_OF_A_CLASS = 4  # videos

Pooled = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ProbePlan:
    """What follows from the settings once the videos and the steps are counted."""

    config: PeriodicProbeConfig
    index: VideoIndex
    total_steps: int

    @property
    def every(self) -> int | None:
        """Steps between two looks; None: there are none.

        A run that ends before the second look has no first one: a try of a few steps is not to spend most of its
        time on it.
        """
        every = self.config.every
        return None if every is None or every > self.total_steps else every

    @property
    def indices(self) -> list[int]:
        """Examples that are looked at."""
        if self.every is None:
            return []
        return spread_evenly(self.index.labels, len(self.index.paths), self.config.clips)

    def row(self) -> tuple[str, str]:
        """For the table at the start."""
        if self.every is None:
            late = f": probe.every={self.config.every} is more than the steps of the run" if self.config.every else ""
            return "probe", f"none{late}"
        indices = self.indices
        looks = f"every {self.every} steps: {len(indices)} clips"
        if self.index.labels is None:
            return "probe", f"{looks} without labels, so no k-NN: feature rank and std only"
        classes = len({self.index.labels[position] for position in indices})
        if classes < 2:
            return "probe", f"{looks} of one class, so no k-NN: feature rank and std only"
        return "probe", f"{looks} of {classes} classes: k-NN top-1 (chance {100 / classes:.1f} %), feature rank and std"


class PeriodicProbe:
    """Figures of the encoder on the clips of a plan.

    Args:
        engine: that computes the features.
        model: a `Pretrainer`; its weights may change between looks.
        reader: of the plan's videos; their centre clips are read once, here, and kept.

    Raises:
        ConfigError: none of them can be read.
    """

    def __init__(self, engine: Engine, model: Any, reader: ClipReader, plan: ProbePlan) -> None:
        indices = plan.indices
        try:
            clips, kept = readable_clips(reader.center_clip, indices)
        except BadVideo as error:
            raise ConfigError(
                f"none of the {len(indices)} videos of the probe can be read; the last: {error}. Repair them, or give "
                "probe.every=null"
            ) from error
        labels = None if plan.index.labels is None else np.array(plan.index.labels)[kept]
        pooled = engine.inference(model, lambda videos: pool(model, encode(model, videos)))
        self._features = FeatureFigures(pooled, clips, labels, BATCH)
        self._videos = [plan.index.paths[position] for position in kept]
        self._labels, self._class_names = labels, plan.index.class_names
        self._size = len(kept)
        self._classes = 0 if labels is None else len(np.unique(labels))

    def figures(self, check: Check) -> Record:
        """See `FeatureFigures.figures`."""
        return dict(self._features.figures(check))

    def keep(self, path: Path, step: int) -> None:
        """Writes the features that the last figures were of, for a report."""
        LookedAt(self._features.latest, self._videos, self._labels, self._class_names, step).write(path)

    def course(self, records: Sequence[Record]) -> str:
        """How the figure that counts went over the records of the run."""
        if self._classes < 2:
            first, last = _ends(records, "feature_rank")
            ranks = f"{first['feature_rank']:.1f} at step {first['step']} → {last['feature_rank']:.1f}"
            return f"feature rank of {self._size} clips: {ranks} at step {last['step']}"
        first, last = _ends(records, "probe_top1")
        shares = f"{100 * first['probe_top1']:.1f} % at step {first['step']} → {100 * last['probe_top1']:.1f} %"
        chance = f"chance {100 / self._classes:.1f} %: 1 of {self._classes} classes"
        return f"k-NN top-1 of {self._size} clips: {shares} at step {last['step']} ({chance})"


def _ends(records: Sequence[Record], name: str) -> tuple[Record, Record]:
    """The first and the last record with a figure."""
    seen = [record for record in records if record.get(name) is not None]
    return seen[0], seen[-1]


class FeatureFigures:
    """Figures of the encoder of one model on fixed clips.

    Args:
        pooled: (b, T, S, S, c) uint8 → (b, d) float32, one vector for each clip.
        clips: (k, T, S, S, c) uint8.
        labels: (k,) classes; None: only what needs no labels.
        batch_size: clips computed at a time.
    """

    def __init__(self, pooled: Pooled, clips: np.ndarray, labels: np.ndarray | None, batch_size: int) -> None:
        self._clips = clips
        self._labels = labels
        self._batch_size = batch_size
        self._pooled = pooled
        self.latest = np.zeros((0, 0), np.float32)  # features, (k, d)

    def figures(self, check: Check) -> dict[str, float]:
        """`feature_rank`, `feature_std` and, with labels of at least two classes, `probe_top1`.

        The latter is the share of clips whose class a vote of their 20 nearest neighbours among the others finds; of
        small sets fewer vote, as many as an average class has other members. `check` is called after every batch and
        may give the look up.
        """
        pooled = []
        for batch in np.split(self._clips, range(self._batch_size, len(self._clips), self._batch_size)):
            pooled.append(self._pooled(batch))
            check()
        features = self.latest = np.concatenate(pooled)
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
        return [int(position) for position in np.linspace(0, count, min(size, count), endpoint=False)]
    labels = np.asarray(list(labels))
    classes = np.unique(labels)
    most = max(size // _LEAST_OF_A_CLASS, 1)
    if len(classes) > most:
        classes = classes[np.linspace(0, len(classes), most, endpoint=False).astype(int)]
    share = size // len(classes)
    indices: list[int] = []
    for number in classes:
        members = np.flatnonzero(labels == number)
        chosen = np.linspace(0, len(members), min(share, len(members)), endpoint=False).astype(int)
        indices += members[chosen].tolist()
    return sorted(indices)


def readable_clips(read: Callable[[int], np.ndarray], indices: Iterable[int]) -> tuple[np.ndarray, list[int]]:
    """The clips of those of the indices that can be read, (k, T, S, S, c), and the indices; none: `BadVideo`."""
    clips, kept, reason = [], [], "no video to read"
    for position, clip in read_ahead(indices, read):
        if isinstance(clip, BadVideo):
            reason = str(clip)
            continue
        clips.append(clip)
        kept.append(position)
    if not clips:
        raise BadVideo(reason)
    return np.stack(clips), kept
