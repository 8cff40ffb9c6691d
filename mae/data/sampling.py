"""Which frames of a video make a clip: named, pure functions of the frame count.

A sampler takes (count, num_frames, stride, rng, short_clip) and gives (num_frames,) int64 frame numbers; `SAMPLERS`
names them. A test sampler takes (count, num_frames, stride, clips, short_clip) and gives all test clips of a video,
(clips, num_frames); `TEST_SAMPLERS` names them. None holds state: several clips of one video are several calls, each
with its own generator.

Numbers of a clip are ascending, with repeats where the video is short, except under `short_clip="loop"` (0 4 8 2 6).
For a reader that wants ascending numbers the caller reads those of `np.unique(numbers, return_inverse=True)` and
gathers; so it does for the clips of a test, which may overlap.

`short_clip` says what a dense sampler does with a video too short for its clip: "repeat_last" repeats the last frame
it reaches (as published), "loop" walks on from the beginning, "skip" raises `BadVideo`. Segments fit every video.
"""

from collections.abc import Callable

import numpy as np

from mae.errors import BadVideo, ConfigError, check_choice

SHORT_CLIPS = ("repeat_last", "loop", "skip")


def dense_stride(
    count: int, num_frames: int, stride: int, rng: np.random.Generator, short_clip: str = "repeat_last"
) -> np.ndarray:
    """Every `stride`-th frame from a random start (the published pre-training choice).

    A clip covers a span of `num_frames · stride` frames; its start is uniform in [0, count − span], both ends
    included. A video shorter than that is walked from its first frame; where the stride stops fitting,
    `short_clip` decides: 10 frames, 5 wanted at stride 4 → 0 4 8 8 8, looped 0 4 8 2 6.

    Args:
        count: frames of the video, at least 1.
        num_frames: frames of the clip.
        stride: source frames between two frames of the clip.
        short_clip: one of `SHORT_CLIPS`.

    Raises:
        BadVideo: the clip needs more frames than there are and `short_clip` is "skip".
    """
    latest = _latest_start(count, num_frames, stride)
    return _walk(int(rng.integers(latest + 1)), count, num_frames, stride, short_clip)


def dense_stride_center(
    count: int,
    num_frames: int,
    stride: int,
    rng: np.random.Generator | None = None,
    short_clip: str = "repeat_last",
) -> np.ndarray:
    """As `dense_stride`, from the start in the middle of the possible ones; `rng` is not asked."""
    return _walk(_latest_start(count, num_frames, stride) // 2, count, num_frames, stride, short_clip)


def videomae_dense(
    count: int, num_frames: int, stride: int, rng: np.random.Generator, short_clip: str = "repeat_last"
) -> np.ndarray:
    """The span of `num_frames · stride` frames, evenly filled (the published fine-tuning choice).

    With span = num_frames · stride:

    - count > span: the end is uniform in [span, count), the start lies span before it, and the numbers are
      `num_frames` even ones from start to end, both included, cut to [start, end − 1] and to whole numbers. As 16
      numbers cover 64 frames here, steps are 4 or 5 at stride 4 (4·16/15), unlike `dense_stride`. The video's last
      frame is never drawn.
    - count ≤ span, "repeat_last": ⌊count / stride⌋ even numbers over [0, count], cut to count − 1; the last frame
      of the video fills the rest. "loop" goes through the span from 0, modulo count. They agree at count = span.

    Args, Raises: as `dense_stride`.
    """
    check_choice("short_clip", short_clip, SHORT_CLIPS)
    _check_count(count)
    span = num_frames * stride
    if count > span:
        start = int(rng.integers(span, count)) - span
        return _even(start, start + span, num_frames)
    if count == span or short_clip == "loop":
        return _even(0, span, num_frames) % count
    if short_clip == "skip":
        raise _too_short(count, span, num_frames, stride)
    reached = _even(0, count, count // stride)
    return np.concatenate([reached, np.full(num_frames - len(reached), count - 1)])


def tsn_segments(
    count: int, num_frames: int, stride: int, rng: np.random.Generator, short_clip: str = "repeat_last"
) -> np.ndarray:
    """One random frame of each of `num_frames` equal segments (TSN, arXiv:1608.00859; SSv2 fine-tuning).

    Segment i holds the frames ⌊i·count/n⌋ … ⌊(i+1)·count/n⌋ − 1, so together they hold the whole video. (TSN's own
    code rounds the length of a segment down and leaves up to n − 1 frames at the end unseen.) A video of fewer
    frames than segments gives its frames in order, repeated: 3 frames, 5 wanted → 0 0 1 1 2. `stride` and
    `short_clip` play no part.
    """
    _check_count(count)
    edges = np.arange(num_frames + 1) * count // num_frames
    return edges[:-1] + rng.integers(np.maximum(np.diff(edges), 1))


def tsn_midpoints(
    count: int,
    num_frames: int,
    stride: int,
    rng: np.random.Generator | None = None,
    short_clip: str = "repeat_last",
) -> np.ndarray:
    """As `tsn_segments`, the frame in the middle of each segment, ⌊(i + ½)·count/n⌋; `rng` is not asked."""
    _check_count(count)
    return (2 * np.arange(num_frames) + 1) * count // (2 * num_frames)


def dense_test_clips(
    count: int, num_frames: int, stride: int, clips: int, short_clip: str = "repeat_last"
) -> np.ndarray:
    """Clips spread evenly over the video: the published test of K400, UCF101 and HMDB51 (5 clips).

    Of the N frames 0, stride, 2·stride … clip k takes `num_frames` neighbours from ⌊k·(N − num_frames)/(clips − 1)⌋
    on; a single clip is the one in the middle. Where N < num_frames all clips are the same, filled up as
    `short_clip` says.

    Returns:
        (clips, num_frames) int64 frame numbers.

    Raises:
        BadVideo: N < num_frames and `short_clip` is "skip".
    """
    _check_count(count)
    room = max(-(-count // stride) - num_frames, 0)
    starts = [room // 2] if clips == 1 else [k * room // (clips - 1) for k in range(clips)]
    return np.stack([_walk(start * stride, count, num_frames, stride, short_clip) for start in starts])


def segment_test_clips(
    count: int, num_frames: int, stride: int, clips: int, short_clip: str = "repeat_last"
) -> np.ndarray:
    """The mid-points, then the starts of `tsn_segments`' segments: the published test of SSv2 (2 clips).

    `stride` and `short_clip` play no part.

    Returns:
        (clips, num_frames) int64 frame numbers.

    Raises:
        ConfigError: neither 1 nor 2 clips are asked for.
    """
    if clips not in (1, 2):
        raise ConfigError(
            f"{clips} test clips by segments: there are 2, mid-points and starts; ask for 1 or 2, or sample densely"
        )
    starts = np.arange(num_frames) * count // num_frames
    return np.stack([tsn_midpoints(count, num_frames, stride), starts][:clips])


SAMPLERS: dict[str, Callable[[int, int, int, np.random.Generator, str], np.ndarray]] = {
    "dense_stride": dense_stride,
    "dense_stride_center": dense_stride_center,
    "videomae_dense": videomae_dense,
    "tsn_segments": tsn_segments,
    "tsn_midpoints": tsn_midpoints,
}
TEST_SAMPLERS: dict[str, Callable[[int, int, int, int, str], np.ndarray]] = {
    "dense": dense_test_clips,
    "segments": segment_test_clips,
}
# How a model that was trained by a sampler is used to see a video: the test sampler that looks at it in the same way.
KINDS = {
    "dense_stride": "dense",
    "dense_stride_center": "dense",
    "videomae_dense": "dense",  # published with tests at the plain stride
    "tsn_segments": "segments",
    "tsn_midpoints": "segments",
}
# Of each kind, the sampler whose clip is always the same.
CENTERS = {"dense": "dense_stride_center", "segments": "tsn_midpoints"}


def _check_count(count: int) -> None:
    if count < 1:
        raise ValueError(f"a video of {count} frames has no clip")


def _latest_start(count: int, num_frames: int, stride: int) -> int:
    _check_count(count)
    return max(count - num_frames * stride, 0)


def _walk(start: int, count: int, num_frames: int, stride: int, short_clip: str) -> np.ndarray:
    check_choice("short_clip", short_clip, SHORT_CLIPS)
    steps_that_fit = (count - 1 - start) // stride
    steps = np.arange(num_frames)
    if short_clip == "repeat_last" or steps_that_fit >= num_frames - 1:
        return start + stride * np.minimum(steps, steps_that_fit)
    if short_clip == "loop":
        return (start + stride * steps) % count
    raise _too_short(count, stride * (num_frames - 1) + 1, num_frames, stride)


def _even(start: int, end: int, number: int) -> np.ndarray:
    """`number` even whole numbers from start to end, the last one cut to end − 1."""
    # The order of the published computation: real numbers, the cut, then down to whole numbers.
    return np.clip(np.linspace(start, end, num=number), start, end - 1).astype(np.int64)


def _too_short(count: int, needed: int, num_frames: int, stride: int) -> BadVideo:
    return BadVideo(f"{count} frames, shorter than a clip of {needed} ({num_frames} at stride {stride})")
