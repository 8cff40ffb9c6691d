"""Batches of fine-tuning: clips with their labels, and how each batch is mixed."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader
from mae.data.extras import Extra, path_noise
from mae.data.pipeline import training_batches
from mae.finetuning.config import FinetuneConfig
from mae.finetuning.mixing import DRAW_WIDTH, draw_mixture
from mae.finetuning.plan import FinetunePlan

Element = dict[str, tf.Tensor]


def labelled_batches(
    config: FinetuneConfig,
    plan: FinetunePlan,
    strategy: tf.distribute.Strategy,
    reader: ClipReader,
    bad_videos: BadVideos,
    first_step: int,
    prefetch: int,
) -> Iterator[Any]:
    """The batches from `first_step` on, `prefetch` of them kept ready, as `mae.finetuning.step` takes them."""
    c, a = config, config.model.architecture
    replicas = plan.num_replicas
    extras: dict[str, Extra] = {"label": _labels(reader)}
    if a.drop_path_rate > 0:
        extras["path_noise"] = path_noise(2 * a.depth, c.seed)

    def pipeline(_: tf.distribute.InputContext) -> tf.data.Dataset:
        batches = training_batches(
            reader,
            extras,
            bad_videos,
            seed=c.seed,
            batch_size=c.clips_per_step,
            first_step=first_step,
            num_steps=plan.total_steps - first_step,
            workers=c.data.workers,
            prefetch=prefetch * replicas,
            replica_batch=c.clips_per_step // replicas,
        )
        if not c.mixes:
            return batches
        # `replicas` consecutive elements are one step.
        return batches.enumerate().map(_with_mixture(config, first_step, replicas))

    return iter(strategy.distribute_datasets_from_function(pipeline))


def _labels(reader: ClipReader) -> Extra:
    labels = np.array(reader.index.labels, np.int32)
    return lambda _epoch, example, _clip: labels[example]


def _with_mixture(config: FinetuneConfig, first_step: int, replicas: int) -> Callable[[tf.Tensor, Element], Element]:
    """Adds `mixture` (b, DRAW_WIDTH), a function of the step alone."""
    size = config.model.architecture.image_size

    def row(number: np.ndarray) -> np.ndarray:
        return draw_mixture(config.mixing, config.seed, first_step + int(number) // replicas, size, size).row()

    def add(number: tf.Tensor, batch: Element) -> Element:
        drawn = tf.ensure_shape(tf.numpy_function(row, [number], tf.float32, stateful=False), (DRAW_WIDTH,))
        return {**batch, "mixture": tf.tile(drawn[None], (batch["label"].shape[0], 1))}

    return add
