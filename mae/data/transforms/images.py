"""Pillow's image operations on clips.

Pillow lets other threads run while it works, so it costs the input pipeline no more than OpenCV would.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image


def map_images(frames: np.ndarray, apply: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """`apply` on every frame as a Pillow RGB image of the same size: (T, H, W, 3) uint8 → a new array of that shape."""
    mapped = np.empty(frames.shape, np.uint8)
    for frame, target in zip(frames, mapped, strict=True):
        target[:] = np.asarray(apply(Image.fromarray(frame)))
    return mapped
