"""Whole clips at once, of what the product reads and crops frame by frame."""

import numpy as np

from mae.data.transforms.crops import crop_frame
from mae.data.videos.read import read_frames


def read_clip(path, choose):
    """The frames that `choose` picks, repeats included, uncut: (T, H, W, 3) uint8 RGB; see `read_frames`."""
    chosen = []

    def remembering(count):
        chosen.append(choose(count))
        return chosen[-1]

    frames = read_frames(path, remembering, lambda index, frame: [frame])
    return np.stack([frames.views[index][0] for index in np.searchsorted(frames.numbers, chosen[-1])])


def crop_clip(frames, crop):
    """`crop_frame` of every frame: (T, H, W, 3) → (T, size, size, 3)."""
    return np.stack([crop_frame(frame, crop) for frame in frames])
