"""Batches of fine-tuning: clips with their labels, and how each batch is mixed."""

from collections.abc import Iterator

import numpy as np

from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader
from mae.data.extras import Extra, path_noise
from mae.data.pipeline import training_batches
from mae.engines.engine import HostBatch
from mae.finetuning.config import FinetuneConfig
from mae.finetuning.mixing import draw_mixture
from mae.finetuning.plan import FinetunePlan


def labelled_batches(
    config: FinetuneConfig,
    plan: FinetunePlan,
    reader: ClipReader,
    bad_videos: BadVideos,
    first_step: int,
    prefetch: int,
) -> Iterator[HostBatch]:
    """The batches from `first_step` on, `prefetch` of them kept ready.

    They are as `mae.finetuning.step.finetuning_losses` takes them.
    """
    c, a = config, config.model.architecture
    extras: dict[str, Extra] = {"label": _labels(reader)}
    if a.drop_path_rate > 0:
        extras["path_noise"] = path_noise(a.depth, c.seed)
    batches = training_batches(
        reader,
        extras,
        bad_videos,
        seed=c.seed,
        batch_size=c.clips_per_step,
        first_step=first_step,
        num_steps=plan.total_steps - first_step,
        workers=c.data.workers,
        prefetch=prefetch,
    ).as_numpy_iterator()
    for step, batch in enumerate(batches, start=first_step):
        yield {**batch, "mixture": _mixture(c, step, len(batch["label"]))} if c.mixes else batch


def _labels(reader: ClipReader) -> Extra:
    labels = np.array(reader.index.labels, np.int32)
    return lambda _epoch, example, _clip: labels[example]


def _mixture(config: FinetuneConfig, step: int, clips: int) -> np.ndarray:
    """(clips, DRAW_WIDTH), the same row for each: a function of the step alone."""
    size = config.model.architecture.image_size
    return np.tile(draw_mixture(config.mixing, config.seed, step, size, size).row(), (clips, 1))
