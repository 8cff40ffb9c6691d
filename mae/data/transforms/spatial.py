"""Crops and resizes of whole clips: uint8 in, uint8 out, every frame of a clip treated alike."""

import cv2
import numpy as np

from mae.data.transforms.crops import crop_clip, crop_of_box, multi_scale_crop_box, view_crops


def multi_scale_crop(frames: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """One random box for the whole clip, resized to a square: (T, H, W, 3) → (T, size, size, 3) uint8."""
    box = multi_scale_crop_box(frames.shape[1], frames.shape[2], rng)
    return crop_clip(frames, crop_of_box(box, size))


def center_crop(frames: np.ndarray, size: int) -> np.ndarray:
    """Short side resized to `size`, then the square in the middle: (T, H, W, 3) → (T, size, size, 3) uint8."""
    (crop,) = view_crops(frames.shape[1], frames.shape[2], size, 1)
    return crop_clip(frames, crop)


def resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear resize of every frame: (T, H, W, 3) → (T, height, width, 3) uint8. Aspect is not kept."""
    if frames.shape[1:3] == (height, width):
        return frames
    resized = np.empty((len(frames), height, width, 3), np.uint8)
    for frame, target in zip(frames, resized, strict=True):
        cv2.resize(frame, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
    return resized
