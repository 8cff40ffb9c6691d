"""Batches of pre-training: clips with their masks, and the noise of drop path."""

from collections.abc import Iterator

import numpy as np

from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader
from mae.data.extras import Extra, Extras, at_every_visit, masks, path_noise
from mae.data.pipeline import training_batches
from mae.engines.engine import HostBatch
from mae.engines.workers import Workers
from mae.masking import MASKS, running_cell_mask
from mae.pretraining.config import PretrainConfig
from mae.training.plan import TrainingPlan


def pretraining_batches(
    config: PretrainConfig,
    plan: TrainingPlan,
    workers: Workers,
    reader: ClipReader,
    bad_videos: BadVideos,
    first_step: int,
    prefetch: int,
) -> Iterator[HostBatch]:
    """What this process reads of the batches from `first_step` on, `prefetch` of them kept ready.

    They are as `mae.pretraining.step.pretraining_losses` takes them.
    """
    share = config.clips_per_step // workers.count  # clips of a step that this process reads
    return training_batches(
        reader,
        _extras(config),
        bad_videos,
        seed=config.seed,
        batch_size=config.clips_per_step,
        first_step=first_step,
        num_steps=plan.total_steps - first_step,
        workers=config.data.workers,
        prefetch=prefetch,
        positions=range(workers.index * share, (workers.index + 1) * share),
    ).as_numpy_iterator()


def drawn_mask(config: PretrainConfig, rng: np.random.Generator) -> np.ndarray:
    """One mask as the config describes it: (n,) bool."""
    return MASKS[config.masking](config.model.architecture.grid, config.mask_ratio, seed=rng)[0]


def masks_of(config: PretrainConfig) -> Extra:
    """The mask of each training clip."""
    return masks(lambda rng: drawn_mask(config, rng), config.seed)


def _extras(config: PretrainConfig) -> Extras:
    """What a clip brings besides its pixels."""
    c, a = config, config.model.architecture
    extras = {"is_masked": masks_of(c)}
    if c.decoder_mask_ratio > 0:
        extras["is_decoder_masked"] = masks(
            lambda rng: running_cell_mask(a.grid, c.decoder_mask_ratio, seed=rng)[0], c.seed, "decoder mask"
        )
    if a.drop_path_rate > 0:
        extras["path_noise"] = path_noise(a.depth, c.seed)
    if c.overfit_clips is not None:
        extras = {name: at_every_visit(extra) for name, extra in extras.items()}
    return extras
