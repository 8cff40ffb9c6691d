"""Crops and resizes of decoded clips: uint8 in, uint8 out, every frame of a clip treated alike."""

import cv2
import numpy as np

SCALES = (1.0, 0.875, 0.75, 0.66)  # of the short side; scale jittering of TSN (arXiv:1608.00859)
MAX_SCALE_DISTANCE = 1  # between height and width, in places of SCALES: bounds the aspect ratio
SCALE_PAIRS = tuple(
    (i, j)
    for i in range(len(SCALES))
    for j in range(len(SCALES))
    if abs(i - j) <= MAX_SCALE_DISTANCE
)  # fmt: skip
# (down, right) in quarters of the room a crop leaves: corners, centre, mid-edges, quarter points.
OFFSETS = (
    *((0, 0), (0, 4), (4, 0), (4, 4)),
    (2, 2),
    *((0, 2), (2, 0), (2, 4), (4, 2)),
    *((1, 1), (1, 3), (3, 1), (3, 3)),
)


def multi_scale_crop_box(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A random box of the published augmentation, in pixels: (top, left, height, width).

    Height and width are each one of `SCALES` of the short side, at most one scale apart; the place is one of the
    13 `OFFSETS`. All pairs and all places are equally likely.
    """
    i, j = SCALE_PAIRS[rng.integers(len(SCALE_PAIRS))]
    down, right = OFFSETS[rng.integers(len(OFFSETS))]
    short = min(height, width)
    box_height, box_width = (max(int(short * SCALES[k]), 1) for k in (i, j))
    return (height - box_height) * down // 4, (width - box_width) * right // 4, box_height, box_width


def multi_scale_crop(frames: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """One random box for the whole clip, resized to a square: (T, H, W, 3) → (T, size, size, 3) uint8."""
    top, left, height, width = multi_scale_crop_box(frames.shape[1], frames.shape[2], rng)
    return resize(frames[:, top : top + height, left : left + width], size, size)


def center_crop(frames: np.ndarray, size: int) -> np.ndarray:
    """Short side resized to `size`, then the square in the middle: (T, H, W, 3) → (T, size, size, 3) uint8."""
    height, width = frames.shape[1:3]
    short = min(height, width)
    height, width = round(height * size / short), round(width * size / short)
    top, left = (height - size) // 2, (width - size) // 2
    return resize(frames, height, width)[:, top : top + size, left : left + size]


def resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear resize of every frame: (T, H, W, 3) → (T, height, width, 3) uint8. Aspect is not kept."""
    if frames.shape[1:3] == (height, width):
        return frames
    resized = np.empty((len(frames), height, width, 3), np.uint8)
    for frame, target in zip(frames, resized, strict=True):
        cv2.resize(frame, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
    return resized
