"""Batches of pre-training: clips with their masks."""

from collections.abc import Iterator

import numpy as np

from mae.checks import Triple
from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader
from mae.data.extras import Extra, at_every_visit, masks, path_noise
from mae.data.pipeline import Batch, Portion, training_batches
from mae.masking import clip_mask, running_cell_mask
from mae.pretraining.config import PretrainConfig


def masked_batches(
    config: PretrainConfig,
    reader: ClipReader,
    bad_videos: BadVideos,
    portion: Portion,
    prefetch: int,
) -> Iterator[Batch]:
    """The batches of a portion, as `mae.pretraining.step` takes them; `prefetch` of them are kept ready."""
    return training_batches(
        reader,
        _extras(config),
        bad_videos,
        portion,
        seed=config.seed,
        workers=config.data.workers,
        prefetch=prefetch,
    )


def drawn_mask(
    config: PretrainConfig, rng: np.random.Generator, clip: np.ndarray, tubelet: Triple | None = None
) -> np.ndarray:
    """(n,) bool, True where the encoder does not see; `clip` (T, H, W, 3) uint8 is asked where masks follow motion.

    Args:
        tubelet: frames, rows and columns of a patch; None: those of the model.
    """
    c, tubelet = config, tubelet or config.model.architecture.tubelet
    return clip_mask(clip, tubelet, c.masking, c.mask_ratio, c.mask_motion, c.mask_motion_share, rng)


def training_masks(config: PretrainConfig) -> Extra:
    """The mask of every training clip."""
    return masks(lambda rng, clip: drawn_mask(config, rng, clip), config.seed)


def _extras(config: PretrainConfig) -> dict[str, Extra]:
    c, a = config, config.model.architecture
    extras = {"is_masked": training_masks(c)}
    if c.decoder_mask_ratio > 0:
        extras["is_decoder_masked"] = masks(
            lambda rng, _clip: running_cell_mask(a.grid, c.decoder_mask_ratio, seed=rng)[0], c.seed, "decoder mask"
        )
    if a.drop_path_rate > 0:
        extras["path_noise"] = path_noise(a.depth, c.seed)
    if c.overfit_clips is not None:
        extras = {name: at_every_visit(extra) for name, extra in extras.items()}
    return extras
