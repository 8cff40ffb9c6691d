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
from mae.evaluation.features import encode, pool, pool_cells
from mae.evaluation.probes.feature_figures import FeatureFigures
from mae.evaluation.probes.looked_at import LookedAt
from mae.evaluation.probes.signs import LEAST_CLIPS, Sign, signs_of
from mae.presets import Architecture
from mae.pretraining.config import PeriodicProbeConfig
from mae.signals import Check
from mae.training.meter import Record

# Clips computed at a time: they show the encoder all of their tokens, several times what it trains on.
BATCH = 8
# Rows and columns of cells that a frame's tokens are averaged over for the attentive probes.
CELLS = 4
_LEAST_OF_A_CLASS = 4  # videos


@dataclass(frozen=True)
class ProbePlan:
    """What follows from the settings once the videos and the steps are counted."""

    config: PeriodicProbeConfig
    index: VideoIndex
    total_steps: int
    architecture: Architecture  # of the encoder that is looked at

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

    @property
    def feature_bytes(self) -> int:
        """What a look holds of the tokens of its clips, see `feature_bytes`."""
        return feature_bytes(self.config, self.architecture, len(self.indices))

    @property
    def times(self) -> int:
        """Places in time that the tokens of a clip have."""
        return self.architecture.grid[0]

    def row(self) -> tuple[str, str]:
        """For the table at the start."""
        if self.every is None:
            late = f": probe.every={self.config.every} is more than the steps of the run" if self.config.every else ""
            return "probe", f"none{late}"
        indices = self.indices
        labels = None if self.index.labels is None else [self.index.labels[position] for position in indices]
        classes = 0 if labels is None else len(set(labels))
        knn = f"k-NN top-1 (chance {100 / classes:.1f} %), " if classes > 1 else ""
        of = {0: "without labels, so no k-NN", 1: "of one class, so no k-NN"}.get(classes, f"of {classes} classes")
        signs = signs_of(labels, len(indices), self.times) if self.config.attentive_steps is not None else []
        shares = "".join(f"{sign.title} (chance {100 * sign.chance:.1f} %), " for sign in signs)
        few = f"; attentive probes need {LEAST_CLIPS} clips" if len(indices) < LEAST_CLIPS else ""
        looks = f"every {self.every} steps: {len(indices)} clips {of}"
        return "probe", f"{looks}: {knn}{shares}feature rank and std{few if self.config.attentive_steps else ''}"


def feature_bytes(config: PeriodicProbeConfig, architecture: Architecture, clips: int) -> int:
    """Bytes of the tokens that attentive probes are fitted on: of clips and their twins, and of both beside each other.

    They are means over cells, in float16, see `FeatureFigures`.
    """
    if config.attentive_steps is None or clips < LEAST_CLIPS:
        return 0
    t, h, w = architecture.grid
    return 4 * clips * t * min(h, CELLS) * min(w, CELLS) * architecture.embed_dim * 2


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
        self._videos = [plan.index.paths[position] for position in kept]
        self._labels, self._class_names = labels, plan.index.class_names

        def encoded(videos: Any) -> tuple[Any, Any]:
            tokens = encode(model, videos)
            return pool(model, tokens), pool_cells(model, tokens, CELLS)

        compute = engine.inference(model, encoded)
        steps = plan.config.attentive_steps
        self._features = FeatureFigures(compute, clips, labels, plan.times, BATCH, steps)

    @property
    def signs(self) -> list[Sign]:
        """Those among the figures, by which it is seen whether the encoder learns what moves."""
        return self._features.signs

    def figures(self, check: Check) -> Record:
        """See `FeatureFigures.figures`."""
        return dict(self._features.figures(check))

    def keep(self, path: Path, step: int) -> None:
        """Writes the features that the last figures were of, for a report."""
        LookedAt(self._features.latest, self._videos, self._labels, self._class_names, step).write(path)

    def course(self, records: Sequence[Record]) -> str:
        """How the figures that count went over the records of the run, each on a line."""
        clips, classes = self._features.num_clips, self._features.num_classes
        lines = []
        if classes > 1:
            chance = f"chance {100 / classes:.1f} %: 1 of {classes} classes"
            lines.append(f"k-NN top-1 of {clips} clips: {_course(records, 'probe_top1', _percent)} ({chance})")
        else:
            lines.append(f"feature rank of {clips} clips: {_course(records, 'feature_rank', '{:.1f}'.format)}")
        for sign in self.signs:
            chance = f"chance {_percent(sign.chance)}"
            lines.append(f"{sign.title} of {clips} clips: {_course(records, sign.key, _percent)} ({chance})")
        return "\n".join(lines)


def _course(records: Sequence[Record], name: str, text: Callable[[float], str]) -> str:
    """The first and the last value that records have of a figure, each with its step."""
    seen = [record for record in records if record.get(name) is not None]
    return " → ".join(f"{text(record[name])} at step {record['step']}" for record in (seen[0], seen[-1]))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def spread_evenly(labels: Sequence[int] | None, count: int, size: int) -> list[int]:
    """Places of at most `size` of `count` videos: equally many of each class, each class spread over the list.

    Without labels they are spread over the list alone. Classes with fewer videos leave room that stays free; of very
    many classes some are left out, so that each has neighbours of its own.
    """
    if labels is None:
        return [int(position) for position in np.linspace(0, count, min(size, count), endpoint=False)]
    class_of = np.asarray(labels)
    classes = np.unique(class_of)
    most = max(size // _LEAST_OF_A_CLASS, 1)
    if len(classes) > most:
        classes = classes[np.linspace(0, len(classes), most, endpoint=False).astype(int)]
    share = size // len(classes)
    indices: list[int] = []
    for number in classes:
        members = np.flatnonzero(class_of == number)
        chosen = np.linspace(0, len(members), min(share, len(members)), endpoint=False).astype(int)
        indices += members[chosen].tolist()
    return sorted(indices)


def readable_clips(read: Callable[[int], np.ndarray], indices: Iterable[int]) -> tuple[np.ndarray, list[int]]:
    """The clips of those of the indices that can be read, (k, T, H, W, c), and the indices; none: `BadVideo`."""
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
