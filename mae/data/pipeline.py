"""Training batches: which video at which step, and the threads that decode them ahead of the training."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mae.data.bad_videos import BadVideos
from mae.data.balanced import BalancedSchedule
from mae.data.clips import ClipReader
from mae.data.extras import Extras
from mae.data.videos.read import keep_freed_memory, pin_threads
from mae.errors import BadVideo
from mae.seeds import generator

Batch = dict[str, np.ndarray]  # each array begins with the axis of the clips


@lru_cache(maxsize=4)  # clips of two epochs are in flight where one ends; more only for several pipelines
def epoch_order(seed: int, epoch: int, num_videos: int) -> np.ndarray:
    """The order in which an epoch visits the videos: a permutation of 0 … num_videos − 1, int32, read-only."""
    order = generator(seed, "order", epoch).permutation(num_videos).astype(np.int32)
    order.setflags(write=False)
    return order


@dataclass(frozen=True)
class Schedule:
    """Which video is visited when: a function of the run's seed, so a step looks the same before and after a resume.

    The videos that are left over when an epoch is cut into batches are not visited in that epoch.
    """

    seed: int
    num_videos: int
    visits: int  # of videos in a step, over all replicas

    def __post_init__(self) -> None:
        if not 1 <= self.visits <= self.num_videos:
            raise ValueError(f"{self.visits} visits a step must lie in [1, {self.num_videos}], the number of videos")

    def visit(self, step: int, position: int) -> tuple[int, int]:
        """(epoch, example) of the video visited at a position of a step, both from 0."""
        epoch, step_of_epoch = divmod(step, self.num_videos // self.visits)
        order = epoch_order(self.seed, epoch, self.num_videos)
        return epoch, int(order[step_of_epoch * self.visits + position])


@dataclass(frozen=True)
class Portion:
    """Which batches of a run are made, and which clips of each."""

    batch_size: int  # clips of a step, over all processes
    steps: range  # counted from 0
    positions: range | None = None  # the part of each step's batch that is made here, whole visits; None: all of it


def training_batches(
    reader: ClipReader,
    extras: Extras,
    bad_videos: BadVideos,
    portion: Portion,
    *,
    seed: int,
    workers: int,
    prefetch: int,
    balances: bool = False,
) -> Iterator[Batch]:
    """The batches of the steps of a portion, in order; nothing before them is decoded.

    A visit of a video makes `reader.spec.clips_per_video` consecutive clips of a batch from one decoding pass.

    An unreadable video is noted in `bad_videos` and leaves black clips with `valid` 0 in its place; no other
    video stands in for it. The caller asks `bad_videos.raise_if_too_many()`. Whatever else a reader raises is raised
    where its batch would have come. An iterator that is left early is to be closed, or let go of: its threads end after
    the visits they are at, while a process that ends with it open waits for all that were to be prefetched.

    Args:
        extras: name and maker of what a clip brings besides its pixels.
        workers: visits made at the same time; 0: one per CPU core.
        prefetch: batches kept ready. One of them is left to `mae.data.one_ahead`, the others are kept here, as visits.
        balances: whether every class is visited equally often, instead of every video.

    Returns:
        Batches `videos` (b, T, H, W, c) uint8, `valid` (b,) float32, `short` (b,) float32 (1 where a video was
        too short for its clip), `example` (b,) int32, `decode_ms` (b,) float32 (a visit's time shared by its clips) and
        the extras (b, …). Side effect: OpenCV's own threads are switched off in this process.
    """
    clips = reader.spec.clips_per_video
    positions = range(portion.batch_size) if portion.positions is None else portion.positions
    if any(number % clips for number in (portion.batch_size, positions.start, len(positions))):
        raise ValueError(f"batch_size={portion.batch_size} and {positions} must be multiples of {clips} clips")
    pin_threads()
    keep_freed_memory()
    visited = portion.batch_size // clips
    schedule = (
        BalancedSchedule(seed, reader.index.labels or (), visited)
        if balances
        else Schedule(seed, len(reader.index.paths), visited)
    )
    visits = range(positions.start // clips, positions.stop // clips)
    load = _visit_loader(reader, extras, bad_videos)

    def load_index(index: int) -> Batch:
        step, nth = divmod(index, len(visits))
        return load(*schedule.visit(step, visits[nth]))

    grain = _grain()
    workers = workers or os.cpu_count() or 1
    # Visits that are begun, and those that are done and wait: see `Footprint`.
    ahead = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=workers + (prefetch - 1) * len(visits))
    indices = grain.MapDataset.range(portion.steps.start * len(visits), portion.steps.stop * len(visits))
    return _batches(indices.map(load_index).to_iter_dataset(ahead), len(visits), len(portion.steps))


def _batches(loaded: Any, visits: int, num_steps: int) -> Iterator[Batch]:
    iterator = iter(loaded)
    try:
        for _ in range(num_steps):
            yield _joined(iterator, visits)
    finally:
        iterator.close()


def _joined(loaded: Iterator[Batch], visits: int) -> Batch:
    """The next visits in one batch: (visits, clips, …) → (visits · clips, …). Each is let go once it is copied."""
    batch: Batch = {}
    for nth in range(visits):
        for name, value in next(loaded).items():
            if nth == 0:
                batch[name] = np.empty((visits, *value.shape), value.dtype)
            batch[name][nth] = value
    return {name: value.reshape(-1, *value.shape[2:]) for name, value in batch.items()}


def _visit_loader(reader: ClipReader, extras: Extras, bad_videos: BadVideos) -> Callable[[int, int], Batch]:
    """A function of (epoch, example) that gives what a visit brings to its batch."""
    spec = reader.spec
    clips = spec.clips_per_video
    shape = (clips, *spec.clip_shape)

    def load(epoch: int, example: int) -> Batch:
        started = time.perf_counter()
        try:
            (videos, is_short), valid = reader.training_clips(epoch, example), 1.0
        except BadVideo as error:
            bad_videos.record(reader.index.paths[example], str(error))
            (videos, is_short), valid = (np.zeros(shape, np.uint8), np.zeros(clips, bool)), 0.0
        decode_ms = 1000 * (time.perf_counter() - started) / clips
        more = {
            name: np.stack([extra(epoch, example, clip, videos[clip]) for clip in range(clips)])
            for name, extra in extras.items()
        }
        return {
            "videos": videos,
            "valid": np.full(clips, valid, np.float32),
            "short": is_short.astype(np.float32),
            "example": np.full(clips, example, np.int32),
            "decode_ms": np.full(clips, decode_ms, np.float32),
            **more,
        }

    return load


def _grain() -> Any:
    """The library, imported where batches are made: it takes a quarter of a second.

    It warns where JAX, which it can do without, is not installed.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        import grain
    finally:
        logging.disable(before)
    return grain
