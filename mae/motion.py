"""Where a clip moves, told by differences of frames: cheap enough to be asked of every clip on the CPU."""

import numpy as np


def block_motion(clip: np.ndarray, tubelet: tuple[int, int, int]) -> np.ndarray:
    """How much each patch moves: the mean of |frame − the frame before| over its values, in steps of uint8.

    The first frame, which has none before it, is compared with the one after it, as in `mae.targets.differences`.

    Args:
        clip: (t·pt, h·ph, w·pw, c) uint8, two frames or more.

    Returns:
        (t, h, w) float32.
    """
    pt, ph, pw = tubelet
    frames, height, width, channels = clip.shape
    before = np.concatenate([clip[1:2], clip[:-1]])
    # In bytes, which are a quarter of what a difference with a sign would take, and exact sums of whole numbers.
    moved = np.maximum(clip, before) - np.minimum(clip, before)
    rows = moved.reshape(frames // pt, pt, height // ph, ph, width * channels).sum(axis=(1, 3), dtype=np.uint32)
    blocks = rows.reshape(frames // pt, height // ph, width // pw, pw * channels).sum(axis=3)
    return (blocks / (pt * ph * pw * channels)).astype(np.float32)
