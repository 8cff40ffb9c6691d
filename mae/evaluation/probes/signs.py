"""Figures of a frozen encoder that grow where it learns what moves, and what guessing gets of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Fewer clips say nothing of what is learnt: with 32, two standard errors of a share of one half are 18 points.
LEAST_CLIPS = 32
# Figures within so many standard errors of each other are called the same: by chance, one in twenty is not.
ERRORS = 2.0


@dataclass(frozen=True)
class Sign:
    """A share of held-out clips, as it is called in records and by people."""

    key: str
    title: str
    chance: float  # the share that guessing gets
    clips: int

    def least(self, before: float | None) -> float:
        """The share from which on it has moved: `ERRORS` standard errors above what it was before, and above chance.

        The standard error is that of so many independent clips of which a share p is told: √(p·(1 − p) / clips).
        Above 1 where the sign was so high before that it cannot move.
        """
        floor = self.chance if before is None else max(self.chance, before)
        return floor + ERRORS * float(np.sqrt(floor * (1 - floor) / self.clips))

    def describe(self, before: float | None, now: float) -> str:
        """As `order 49.2 % (before 48.0 %, chance 50.0 %)`."""
        known = "" if before is None else f"before {100 * before:.1f} %, "
        return f"{self.title} {100 * now:.1f} % ({known}chance {100 * self.chance:.1f} %)"


def signs_of(labels: Sequence[int] | np.ndarray | None, clips: int, times: int) -> list[Sign]:
    """The signs that so many clips give.

    Args:
        labels: (clips,) their classes; None: not known.
        times: places in time that their tokens have.
    """
    if clips < LEAST_CLIPS:
        return []
    classes = 0 if labels is None else len(np.unique(labels))
    attentive = Sign("probe_attentive_top1", "attentive top-1", 1 / max(classes, 1), clips)
    order = Sign("probe_order", "order", 0.5, clips)
    # Of each class, on average, one to learn from and one to be asked.
    return [attentive] * (2 <= classes <= clips // 2) + [order] * (times > 1)
