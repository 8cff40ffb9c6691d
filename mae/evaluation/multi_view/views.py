"""The multi-view test: every view of every listed video through a model, once."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mae.data.read_ahead import read_ahead
from mae.errors import BadVideo
from mae.evaluation.multi_view.scores import ViewScores

Views = list[tuple[int, int]]


def run_views(
    scores: ViewScores,
    read: Callable[[int], np.ndarray],
    logits: Callable[[np.ndarray], Any],
    batch_size: int,
    save_every: int = 50,
    check: Callable[[int, int], None] | None = None,
    workers: int = 0,
) -> None:
    """Evaluates what `scores` misses.

    A video is decoded once for all its views. One that cannot be read fails, with its reason, and no other stands in
    for it. Every batch has `batch_size` clips: the last one is filled up with copies whose results are thrown away, so
    any number of replicas can share it and a compiled function keeps its shape.

    Args:
        read: all views of a video, (views, T, H, W, c) uint8, or raises `BadVideo`.
        logits: of (batch_size, T, H, W, c) uint8 → (batch_size, classes).
        save_every: batches between saves.
        check: called after every batch with the views done and the views in all; may raise, as `Interrupted` where a
            signal came: what was evaluated is saved then.
        workers: threads that decode; 0: one per CPU core.
    """
    missing = scores.missing()
    total, done = len(missing), 0
    try:
        for number, (views, clips, rows) in enumerate(_batches(scores, missing, read, batch_size, workers), start=1):
            videos, indices = np.array(views).T
            scores.add(videos, indices, np.asarray(logits(clips), np.float32)[:rows])
            done += rows
            if number % save_every == 0:
                scores.save()
            if check is not None:
                check(done, total)
    finally:
        scores.save()


def _batches(
    scores: ViewScores, missing: np.ndarray, read: Callable[[int], np.ndarray], batch_size: int, workers: int
) -> Iterator[tuple[Views, np.ndarray, int]]:
    """Places, clips filled up to `batch_size`, and how many of them count."""
    wanted: dict[int, list[int]] = {}
    for video, view in missing.tolist():
        wanted.setdefault(video, []).append(view)
    views: Views = []
    clips: list[np.ndarray] = []
    for video, result in read_ahead(wanted, read, workers):
        if isinstance(result, BadVideo):
            scores.fail(video, str(result))
            continue
        for view in wanted[video]:
            views.append((video, view))
            clips.append(result[view])
            if len(clips) == batch_size:
                yield views, np.stack(clips), batch_size
                views, clips = [], []
    if clips:
        padding = [clips[-1]] * (batch_size - len(clips))
        yield views, np.stack([*clips, *padding]), len(clips)
