"""Which frames of a video make a clip."""

import numpy as np


def dense_stride(count: int, num_frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """Every `stride`-th frame from a random start (the published pre-training choice).

    A clip covers a span of `num_frames · stride` frames; its start is uniform in [0, count − span], both ends
    included. A video shorter than that is walked from its first frame while the stride fits, and the last frame
    reached is repeated: 10 frames, 5 wanted at stride 4 → 0 4 8 8 8.

    Args:
        count: frames of the video, at least 1.
        num_frames: frames of the clip.
        stride: source frames between two frames of the clip.

    Returns:
        (num_frames,) int64 frame numbers, ascending, with repeats where the video is short.
    """
    latest = _latest_start(count, num_frames, stride)
    return _walk(int(rng.integers(latest + 1)), count, num_frames, stride)


def dense_stride_center(count: int, num_frames: int, stride: int) -> np.ndarray:
    """As `dense_stride`, from the start in the middle of the possible ones."""
    return _walk(_latest_start(count, num_frames, stride) // 2, count, num_frames, stride)


def _latest_start(count: int, num_frames: int, stride: int) -> int:
    if count < 1:
        raise ValueError(f"a video of {count} frames has no clip")
    return max(count - num_frames * stride, 0)


def _walk(start: int, count: int, num_frames: int, stride: int) -> np.ndarray:
    steps_that_fit = (count - 1 - start) // stride
    return start + stride * np.minimum(np.arange(num_frames), steps_that_fit)
