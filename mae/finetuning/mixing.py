"""Mixup and cutmix: clips and labels of fine-tuning batches, mixed in pairs.

Mixup (arXiv:1710.09412) adds two clips up; cutmix (arXiv:1905.04899) puts a box of one into the other. Which of the
two, the share and the box are drawn once for a whole global batch, on the host; the mixing itself is one formula on
the device. As published, a clip's partner is its mirror image in the batch — but in fixed groups of neighbouring
places instead of from end to end, so that partners always lie on the same replica and in the same accumulated part,
and the result does not depend on how many of them there are. Order is a random permutation in every epoch, so
neighbours are as random a pair as the two ends.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from mae.finetuning.config import MixingConfig
from mae.seeds import generator

DRAW_WIDTH = 6


@dataclass(frozen=True)
class Mixture:
    """What is done to one global batch: shares are of the clip itself, the rest is its partner's."""

    pixel_share: float  # outside the box
    label_share: float
    box: tuple[int, int, int, int]  # top, bottom, left, right in pixels; inside it the partner's pixels

    def row(self) -> np.ndarray:
        """(DRAW_WIDTH,) float32, to travel with each clip of the batch."""
        return np.array([self.pixel_share, self.label_share, *self.box], np.float32)


UNMIXED = Mixture(1.0, 1.0, (0, 0, 0, 0))


def draw_mixture(config: MixingConfig, seed: int, step: int, height: int, width: int) -> Mixture:
    """The mixture of a step: a function of its arguments alone, the same on every host.

    Args:
        step: updates made before.
        height, width: of the clips, in pixels.
    """
    rng = generator(seed, "mixing", step)
    mixed, switched = rng.random(2)
    uses_cutmix = config.cutmix > 0 and (config.mixup == 0 or switched < config.switch_probability)
    if (config.mixup == 0 and config.cutmix == 0) or mixed >= config.probability:
        return UNMIXED
    if not uses_cutmix:
        share = float(rng.beta(config.mixup, config.mixup))
        return Mixture(share, share, (0, 0, 0, 0))
    box = cutmix_box(float(rng.beta(config.cutmix, config.cutmix)), height, width, rng)
    top, bottom, left, right = box
    # A box that the border cuts off is smaller than drawn: labels follow the true area.
    return Mixture(1.0, 1 - (bottom - top) * (right - left) / (height * width), box)


def cutmix_box(share: float, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A box of `1 - share` of the picture, its centre anywhere, cut off at the border: (top, bottom, left, right)."""
    side = np.sqrt(1 - share)
    edges = []
    for length in (height, width):
        half, centre = int(length * side) // 2, int(rng.integers(length))
        edges += [max(centre - half, 0), min(centre + half, length)]
    top, bottom, left, right = edges
    return top, bottom, left, right


def partners(values: Any, group: int) -> Any:
    """Each row's partner: groups of `group` consecutive rows, each turned end to end.

    With group 2 rows 0 1 2 3 get 1 0 3 2. Where `r` clips of a video lie next to each other (repeated augmentation),
    group 2·r keeps a clip from being mixed with its own video.

    Raises:
        ValueError: the rows cannot be cut into such groups.
    """
    rows = values.shape[0]
    if group < 2 or group % 2 or (rows is not None and rows % group):
        raise ValueError(f"{rows} clips cannot be paired in groups of {group}: an even number that divides them")
    grouped = ops.reshape(values, (-1, group, *values.shape[1:]))
    return ops.reshape(ops.flip(grouped, axis=1), (-1, *values.shape[1:]))


def mix(videos: Any, targets: Any, valid: Any, rows: Any, group: int = 2) -> tuple[Any, Any]:
    """Mixes one replica's share of a batch (or one accumulated part of it).

    Pixels may be normalised or not: mixing and normalising can be exchanged. A clip whose partner could not be read
    stays as it is.

    Args:
        videos: (b, T, H, W, c), uint8 or float.
        targets: (b, outputs) float32, as of `mae.finetuning.losses.TaskLoss.targets`.
        valid: (b,) 1 or 0: whether a clip could be read.
        rows: (b, DRAW_WIDTH), the same `Mixture.row()` for every clip of a global batch.
        group: see `partners`.

    Returns:
        Videos and targets, float32.
    """
    videos = ops.cast(videos, "float32")
    partner_valid = partners(valid, group) > 0
    rows = ops.where(partner_valid[:, None], rows, ops.convert_to_tensor(UNMIXED.row()))
    pixel_share, label_share, top, bottom, left, right = (
        ops.reshape(column, (-1, 1, 1, 1, 1)) for column in ops.unstack(rows, DRAW_WIDTH, axis=1)
    )
    y = ops.reshape(ops.arange(videos.shape[2], dtype="float32"), (1, 1, -1, 1, 1))
    x = ops.reshape(ops.arange(videos.shape[3], dtype="float32"), (1, 1, 1, -1, 1))
    inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)
    share = ops.where(inside, 0.0, pixel_share)
    label_share = ops.reshape(label_share, (-1, 1))
    return (
        videos * share + partners(videos, group) * (1 - share),
        targets * label_share + partners(targets, group) * (1 - label_share),
    )
