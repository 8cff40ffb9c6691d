"""Batches of fine-tuning: clips with their labels, and how each batch is mixed."""

from collections.abc import Iterator

import numpy as np

from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader
from mae.data.extras import Extra, path_noise
from mae.data.pipeline import Batch, Portion, training_batches
from mae.finetuning.config import FinetuneConfig
from mae.finetuning.mixing import draw_mixture


def labelled_batches(
    config: FinetuneConfig,
    reader: ClipReader,
    bad_videos: BadVideos,
    portion: Portion,
    prefetch: int,
    outputs: int,
) -> Iterator[Batch]:
    """The batches of a portion, as `mae.finetuning.step` takes them.

    Args:
        prefetch: batches kept ready.
        outputs: of the model.
    """
    c, a = config, config.model.architecture
    extras: dict[str, Extra] = {"label": _labels(reader, outputs)}
    if a.drop_path_rate > 0:
        extras["path_noise"] = path_noise(a.depth, c.seed)
    batches = training_batches(
        reader,
        extras,
        bad_videos,
        portion,
        seed=c.seed,
        workers=c.data.workers,
        prefetch=prefetch,
        balances=c.class_balance == "sampler",
    )
    return _with_mixtures(config, portion.steps, batches) if c.mixes else batches


def _labels(reader: ClipReader, outputs: int) -> Extra:
    truths = reader.index.truths(outputs)
    labels = truths.astype(np.float32) if truths.dtype == np.float64 else truths
    return lambda _epoch, example, _clip, _pixels: labels[example]


def _with_mixtures(config: FinetuneConfig, steps: range, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Adds `mixture` (b, DRAW_WIDTH), a row for each clip that is a function of the step alone."""
    height, width = config.model.architecture.picture_size

    def add(step: int, batch: Batch) -> Batch:
        row = draw_mixture(config.mixing, config.seed, step, height, width).row()
        return {**batch, "mixture": np.tile(row, (len(batch["label"]), 1))}

    return map(add, steps, batches)
