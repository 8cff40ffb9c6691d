"""What is done to the clips a model trains on: a crop, and what else the settings ask for."""

from dataclasses import replace

import numpy as np

from mae.data.config import Augmentation
from mae.data.transforms.color_jitter import color_jitter
from mae.data.transforms.crops import (
    Crop,
    Size,
    crop_of_box,
    flipped_at_random,
    multi_scale_crop_box,
    random_resized_crop_box,
    resized_whole,
    view_crops,
)
from mae.data.transforms.rand_augment import parse_rand_augment, rand_augment
from mae.data.transforms.random_erasing import random_erasing
from mae.normalisation import Statistics, usual_statistics

CENTER = Augmentation("center", False, 0.0, 0.0, 0.0, 0.0, None, 0.0)  # none at all


def draw_crop(
    augmentation: Augmentation, height: int, width: int, size: Size, rng: np.random.Generator, resize: str = "crop"
) -> Crop:
    """The part of a video of `height` × `width` pixels that a clip shows.

    Args:
        resize: crop: boxes have about the aspect of `size` | letterbox, stretch: about that of the video, and become
            what the whole video would become; see `mae.data.transforms.crops.resized_whole`.
    """
    if augmentation.crop == "center":
        (crop,) = view_crops(height, width, size, 1, resize)
    else:
        draw = multi_scale_crop_box if augmentation.crop == "multi_scale" else random_resized_crop_box
        box = draw(height, width, rng, size if resize == "crop" else (height, width))
        crop = crop_of_box(box, size, size if resize == "crop" else resized_whole(height, width, size, resize))
    return flipped_at_random(crop, rng) if augmentation.flip else replace(crop, flip=False)


def augment_pixels(
    clip: np.ndarray, augmentation: Augmentation, rng: np.random.Generator, statistics: Statistics | None = None
) -> np.ndarray:
    """Colours, RandAugment and erasing, in this order: (T, H, W, c) uint8 → the same shape and type.

    Args:
        statistics: what the clip will be normalised by; None: the usual ones.
    """
    clip = color_jitter(clip, augmentation.colors, rng)
    if augmentation.rand_augment is not None:
        clip = rand_augment(clip, parse_rand_augment(augmentation.rand_augment), rng)
    if augmentation.erase_probability > 0:
        mean, std = statistics or usual_statistics(clip.shape[-1])
        clip = random_erasing(clip, rng, mean, std, augmentation.erase_probability)
    return clip
