"""Frames that carry their number, to see which ones a clip is made of."""

import numpy as np


def numbered_frames(count, height=32, width=48):
    """Frame i is grey of level 3·i: (count, height, width, 3) uint8."""
    levels = (3 * np.arange(count, dtype=np.uint8))[:, None, None, None]
    return np.broadcast_to(levels, (count, height, width, 3))


def frame_numbers(clip):
    """What `numbered_frames` encoded, after any crop."""
    assert (clip == clip[:, :1, :1, :1]).all()
    return (clip[:, 0, 0, 0] // 3).tolist()
