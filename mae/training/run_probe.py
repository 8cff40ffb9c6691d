"""The periodic probe of a run: which clips it looks at, when, and how it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mae.config import ProbeConfig
from mae.data.clips import ClipReader
from mae.data.lists.video_index import VideoIndex
from mae.errors import BadVideo, ConfigError
from mae.evaluation.periodic_probe import PeriodicProbe, readable_clips, spread_evenly
from mae.training.meter import Record

# Clips computed at a time: they show the encoder all of their tokens, several times what it trains on.
BATCH = 8


@dataclass(frozen=True)
class ProbePlan:
    """What follows from the settings once the videos and the steps are counted."""

    config: ProbeConfig
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
    def places(self) -> list[int]:
        """Examples that are looked at."""
        if self.every is None:
            return []
        return spread_evenly(self.index.labels, len(self.index.paths), self.config.clips)

    def row(self) -> tuple[str, str]:
        """For the table at the start."""
        if self.every is None:
            late = f": probe.every={self.config.every} is more than the steps of the run" if self.config.every else ""
            return "probe", f"none{late}"
        places = self.places
        looks = f"every {self.every} steps: {len(places)} clips"
        if self.index.labels is None:
            return "probe", f"{looks} without labels, so no k-NN: feature rank and std only"
        classes = len({self.index.labels[place] for place in places})
        if classes < 2:
            return "probe", f"{looks} of one class, so no k-NN: feature rank and std only"
        return "probe", f"{looks} of {classes} classes: k-NN top-1 (chance {100 / classes:.1f} %), feature rank and std"


class RunProbe:
    """Figures of the encoder on the clips of a plan.

    Args:
        model: see `PeriodicProbe`.
        reader: of the plan's videos; their centre clips are read once, here, and kept.

    Raises:
        ConfigError: none of them can be read.
    """

    def __init__(self, model: Any, reader: ClipReader, plan: ProbePlan) -> None:
        places = plan.places
        try:
            clips, kept = readable_clips(reader.center_clip, places)
        except BadVideo as error:
            raise ConfigError(
                f"none of the {len(places)} videos of the probe can be read; the last: {error}. Repair them, or give "
                "probe.every=null"
            ) from error
        labels = None if plan.index.labels is None else np.array(plan.index.labels)[kept]
        self._probe = PeriodicProbe(model, clips, labels, BATCH)
        self._size = len(kept)
        self._classes = 0 if labels is None else len(np.unique(labels))

    def figures(self) -> Record:
        """See `PeriodicProbe.figures`."""
        return dict(self._probe.figures())

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
