"""Visits of an uneven set in which every class comes equally often."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mae.seeds import generator


class BalancedSchedule:
    """As `mae.data.pipeline.Schedule`, with an equal share of an epoch's visits for each class that has videos.

    A function of the seed, so a step looks the same before and after a resume, whatever the number of workers. An epoch
    has as many visits as there are videos. Of a class with more videos than its share, every epoch takes others, until
    all were visited; those of a class with fewer come several times in it, and each time as another clip.
    """

    def __init__(self, seed: int, labels: Sequence[int], visits: int) -> None:
        """
        Args:
            labels: the class of each video.
            visits: of videos in a step, over all replicas.
        """
        if not 1 <= visits <= len(labels):
            raise ValueError(f"{visits} visits a step must lie in [1, {len(labels)}], the number of videos")
        self._seed, self._count, self._visits = seed, len(labels), visits
        # Of each class that has some, ascending.
        _, counts = np.unique(np.asarray(labels), return_counts=True)
        self._members = np.split(np.argsort(np.asarray(labels), kind="stable"), np.cumsum(counts)[:-1])
        # Two epochs are in flight where one ends.
        self._epoch = lru_cache(maxsize=2)(self._made)

    def visit(self, step: int, position: int) -> tuple[int, int]:
        """How often the video was visited before, and its number, of the visit at a position of a step, both from 0."""
        epoch, step_of_epoch = divmod(step, self._count // self._visits)
        cycles, videos = self._epoch(epoch)
        index = step_of_epoch * self._visits + position
        return int(cycles[index]), int(videos[index])

    def _made(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The visits of an epoch in their order: how often each video was visited before, and which one it is."""
        visits = [self._of_class(number, epoch) for number in range(len(self._members))]
        cycles, videos = (np.concatenate(columns) for columns in zip(*visits, strict=True))
        order = generator(self._seed, "order", epoch).permutation(self._count)
        return cycles[order], videos[order]

    def _of_class(self, number: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """A class' visits: the next ones of a row in which all its videos come, in another order, again and again."""
        members = self._members[number]
        cycles, place = np.divmod(np.arange(self._begins(number, epoch), self._begins(number, epoch + 1)), len(members))
        videos = np.empty(len(cycles), np.int64)
        for cycle in np.unique(cycles).tolist():
            order = generator(self._seed, "order in class", number, cycle).permutation(members)
            videos[cycles == cycle] = order[place[cycles == cycle]]
        return cycles, videos

    def _begins(self, number: int, epoch: int) -> int:
        """Visits of a class before an epoch. What is left over of equal shares goes to one class after the other."""
        classes = len(self._members)
        share, rest = divmod(self._count, classes)
        return epoch * share + (epoch * rest + classes - 1 - number) // classes
