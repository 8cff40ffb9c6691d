"""Pillow's image operations on clips.

Pillow lets other threads run while it works, so it costs the input pipeline no more than OpenCV would.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image


def map_images(frames: np.ndarray, apply: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """`apply` on every frame as a Pillow RGB image of the same size: (T, H, W, 3) uint8 → a new array of that shape.

    One channel is taken for three equal ones: what treats each alike leaves them equal.
    """
    mapped = np.empty(frames.shape, np.uint8)
    for frame, target in zip(frames, mapped, strict=True):
        picture = frame if frame.shape[-1] == 3 else frame.repeat(3, axis=-1)
        target[:] = np.asarray(apply(Image.fromarray(picture)))[..., : frame.shape[-1]]
    return mapped


def apply_in_turn(
    frames: np.ndarray,
    operations: Sequence[tuple[str, float]],
    functions: Mapping[str, Callable[[Image.Image, Any], Image.Image]],
) -> np.ndarray:
    """Operations, each a name in `functions` and its argument, one after the other on every frame: as `map_images`.

    Without operations it is `frames` itself.
    """

    def apply(image: Image.Image) -> Image.Image:
        for name, value in operations:
            image = functions[name](image, value)
        return image

    return map_images(frames, apply) if operations else frames
