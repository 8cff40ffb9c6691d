"""Random erasing (arXiv:1708.04896): a block of the picture becomes noise, the same one on every frame."""

import math
from collections.abc import Sequence

import numpy as np

AREA = (0.02, 1 / 3)  # of the picture
ASPECT_RATIO = (0.3, 1 / 0.3)  # height / width
TRIES = 10

Block = tuple[int, int, int, int]  # top, left, height, width


def draw_block(height: int, width: int, rng: np.random.Generator) -> Block | None:
    """A block whose area is uniform in `AREA`, ratio log-uniform in `ASPECT_RATIO` and place uniform.

    Blocks lie inside the picture and are smaller than it both ways. None where ten draws give none, as in pictures
    of a pixel or two.
    """
    for _ in range(TRIES):
        area = rng.uniform(*AREA) * height * width
        aspect = math.exp(rng.uniform(math.log(ASPECT_RATIO[0]), math.log(ASPECT_RATIO[1])))
        block_height, block_width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < block_height < height and 0 < block_width < width:
            top, left = rng.integers(height - block_height + 1), rng.integers(width - block_width + 1)
            return int(top), int(left), block_height, block_width
    return None


def random_erasing(
    frames: np.ndarray,
    rng: np.random.Generator,
    mean: Sequence[float],
    std: Sequence[float],
    probability: float = 0.25,
) -> np.ndarray:
    """Erases one random block with the given probability (the published mode "pixel", one block, same for the clip).

    The recipe fills the block of a normalised picture with standard normal noise, one number per pixel and channel.
    Clips here are uint8 until they reach the device, so the block gets what is normalised to that noise,
    255·(mean + std·noise), rounded and cut to 0 … 255. With ImageNet's numbers the cut takes the noise beyond about
    two standard deviations.

    Args:
        frames: (T, H, W, c) uint8; not changed.
        mean, std: per channel, of values in [0, 1]: those the clip will be normalised with.

    Returns:
        (T, H, W, c) uint8; `frames` itself where nothing is erased.
    """
    block = draw_block(frames.shape[1], frames.shape[2], rng) if rng.random() < probability else None
    if block is None:
        return frames
    top, left, height, width = block
    noise = rng.standard_normal((height, width, frames.shape[-1]))
    levels = np.rint(255 * (np.asarray(mean) + np.asarray(std) * noise))
    erased = frames.copy()
    erased[:, top : top + height, left : left + width] = np.clip(levels, 0, 255).astype(np.uint8)
    return erased
