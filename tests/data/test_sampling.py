import inspect

import numpy as np
import pytest

from mae.data.sampling import (
    CENTERS,
    KINDS,
    SAMPLERS,
    SHORT_CLIPS,
    TEST_SAMPLERS,
    dense_stride,
    dense_stride_center,
    dense_test_clips,
    segment_test_clips,
    tsn_midpoints,
    tsn_segments,
    videomae_dense,
)
from mae.errors import BadVideo, ConfigError
from mae.options import CLIP_KINDS


class FixedDraw:
    """Stands in for a generator: remembers the bounds and draws a given number within them."""

    def __init__(self, value):
        self.value = value
        self.bounds = None

    def integers(self, low, high=None):
        self.bounds = (0, low) if high is None else (low, high)
        assert self.bounds[0] <= self.value < self.bounds[1]
        return self.value


class Extreme:
    """Stands in for a generator: the smallest or the largest number of every range."""

    def __init__(self, largest):
        self.largest = largest

    def integers(self, bounds):
        return bounds - 1 if self.largest else np.zeros_like(bounds)


NO_DRAW = None  # a generator that must not be asked


@pytest.mark.parametrize(
    ("count", "num_frames", "stride", "drawn", "bound", "expected"),
    [
        (40, 4, 4, 0, 25, [0, 4, 8, 12]),
        (40, 4, 4, 24, 25, [24, 28, 32, 36]),  # the span ends with the video
        (16, 4, 4, 0, 1, [0, 4, 8, 12]),  # just long enough
        (15, 4, 4, 0, 1, [0, 4, 8, 12]),
        (13, 4, 4, 0, 1, [0, 4, 8, 12]),
        (12, 4, 4, 0, 1, [0, 4, 8, 8]),
        (10, 5, 4, 0, 1, [0, 4, 8, 8, 8]),
        (1, 4, 4, 0, 1, [0, 0, 0, 0]),
        (3, 4, 1, 0, 1, [0, 1, 2, 2]),
        (5, 4, 1, 1, 2, [1, 2, 3, 4]),
        (9, 4, 2, 1, 2, [1, 3, 5, 7]),
    ],
)
def test_dense_stride(count, num_frames, stride, drawn, bound, expected):
    rng = FixedDraw(drawn)
    assert dense_stride(count, num_frames, stride, rng).tolist() == expected
    assert rng.bounds == (0, bound)


def test_every_start_is_drawn():
    starts = {int(dense_stride(10, 2, 4, np.random.default_rng(seed))[0]) for seed in range(60)}
    assert starts == {0, 1, 2}


@pytest.mark.parametrize(
    ("count", "num_frames", "stride", "expected"),
    [
        (40, 4, 4, [12, 16, 20, 24]),
        (17, 4, 4, [0, 4, 8, 12]),
        (18, 4, 4, [1, 5, 9, 13]),
        (10, 5, 4, [0, 4, 8, 8, 8]),
        (1, 2, 1, [0, 0]),
    ],
)
def test_dense_stride_center(count, num_frames, stride, expected):
    assert dense_stride_center(count, num_frames, stride).tolist() == expected


def test_the_published_clip_of_kinetics():
    assert dense_stride_center(300, 16, 4).tolist() == [118 + 4 * i for i in range(16)]


@pytest.mark.parametrize(
    ("count", "num_frames", "stride", "end", "expected"),
    [
        # Span 4·4 = 16: even numbers 0, 5⅓, 10⅔, 16 after the start, the last cut to 15, then rounded down.
        (100, 4, 4, 16, [0, 5, 10, 15]),
        (100, 4, 4, 50, [34, 39, 44, 49]),
        (100, 4, 4, 99, [83, 88, 93, 98]),  # the last end there is; frame 99 is never reached
        (17, 4, 4, 16, [0, 5, 10, 15]),
        # Span 24, steps of 24/3 = 8: the example of github.com/MCG-NJU/VideoMAE/issues/97, with its last number cut.
        (100, 4, 6, 24, [0, 8, 16, 23]),
        (10, 1, 3, 5, [2]),
        (10, 4, 1, 7, [3, 4, 5, 6]),  # even numbers 3, 4⅓, 5⅔, 7
    ],
)
def test_videomae_dense_in_a_long_video(count, num_frames, stride, end, expected):
    rng = FixedDraw(end)
    assert videomae_dense(count, num_frames, stride, rng).tolist() == expected
    assert rng.bounds == (num_frames * stride, count)


def test_videomae_dense_steps_as_reported():
    """The steps that github.com/MCG-NJU/VideoMAE/issues/97 quotes for 16 frames at stride 4."""
    steps = np.diff(videomae_dense(300, 16, 4, FixedDraw(64)))
    assert steps.tolist() == [4, 4, 4, 5, 4, 4, 4, 5, 4, 4, 4, 5, 4, 4, 4]


@pytest.mark.parametrize(
    ("count", "short_clip", "expected"),
    [
        # 4 frames at stride 4, span 16. As long as the span: 0, 5⅓, 10⅔, 16 once more.
        (16, "repeat_last", [0, 5, 10, 15]),
        (16, "loop", [0, 5, 10, 15]),
        (16, "skip", [0, 5, 10, 15]),
        # ⌊count/4⌋ even numbers over [0, count], the last cut to count − 1, which fills the rest.
        (15, "repeat_last", [0, 7, 14, 14]),  # 3: 0, 7½, 15
        (13, "repeat_last", [0, 6, 12, 12]),  # 3: 0, 6½, 13
        (10, "repeat_last", [0, 9, 9, 9]),  # 2: 0, 10
        (5, "repeat_last", [0, 4, 4, 4]),  # 1: 0
        (3, "repeat_last", [2, 2, 2, 2]),  # none
        (1, "repeat_last", [0, 0, 0, 0]),
        # 0 5 10 15 modulo count.
        (15, "loop", [0, 5, 10, 0]),
        (13, "loop", [0, 5, 10, 2]),
        (4, "loop", [0, 1, 2, 3]),
        (1, "loop", [0, 0, 0, 0]),
    ],
)
def test_videomae_dense_in_a_short_video(count, short_clip, expected):
    assert videomae_dense(count, 4, 4, NO_DRAW, short_clip).tolist() == expected


@pytest.mark.parametrize(
    ("count", "num_frames", "stride", "expected"),
    [
        (10, 5, 4, [0, 4, 8, 2, 6]),
        (12, 4, 4, [0, 4, 8, 0]),
        (13, 4, 4, [0, 4, 8, 12]),  # nothing is missing
        (3, 4, 1, [0, 1, 2, 0]),
        (3, 3, 4, [0, 1, 2]),  # 0 4 8 modulo 3
        (1, 3, 2, [0, 0, 0]),
    ],
)
def test_loop(count, num_frames, stride, expected):
    assert dense_stride(count, num_frames, stride, FixedDraw(0), "loop").tolist() == expected
    assert dense_stride_center(count, num_frames, stride, short_clip="loop").tolist() == expected
    assert dense_test_clips(count, num_frames, stride, 2, "loop").tolist() == [expected] * 2


def test_skip():
    assert dense_stride(13, 4, 4, FixedDraw(0), "skip").tolist() == [0, 4, 8, 12]
    too_short = r"12 frames, shorter than a clip of 13 \(4 at stride 4\)"
    with pytest.raises(BadVideo, match=too_short):
        dense_stride(12, 4, 4, FixedDraw(0), "skip")
    with pytest.raises(BadVideo, match=too_short):
        dense_stride_center(12, 4, 4, short_clip="skip")
    with pytest.raises(BadVideo, match=too_short):
        dense_test_clips(12, 4, 4, 3, "skip")
    with pytest.raises(BadVideo, match=r"15 frames, shorter than a clip of 16 \(4 at stride 4\)"):
        videomae_dense(15, 4, 4, NO_DRAW, "skip")


@pytest.mark.parametrize(
    ("count", "num_frames", "first", "middle", "last"),
    [
        # Edges at ⌊10i/4⌋ = 0 2 5 7 10; middles at ⌊1¼⌋, ⌊3¾⌋, ⌊6¼⌋, ⌊8¾⌋.
        (10, 4, [0, 2, 5, 7], [1, 3, 6, 8], [1, 4, 6, 9]),
        (12, 3, [0, 4, 8], [2, 6, 10], [3, 7, 11]),
        (4, 4, [0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]),
        (5, 4, [0, 1, 2, 3], [0, 1, 3, 4], [0, 1, 2, 4]),  # edges 0 1 2 3 5
        # Fewer frames than segments: edges ⌊3i/5⌋ = 0 0 1 1 2 3; middles at ⌊.3⌋ ⌊.9⌋ ⌊1.5⌋ ⌊2.1⌋ ⌊2.7⌋.
        (3, 5, [0, 0, 1, 1, 2], [0, 0, 1, 2, 2], [0, 0, 1, 1, 2]),
        (1, 3, [0, 0, 0], [0, 0, 0], [0, 0, 0]),
    ],
)
def test_segments(count, num_frames, first, middle, last):
    assert tsn_segments(count, num_frames, 4, Extreme(largest=False)).tolist() == first
    assert tsn_segments(count, num_frames, 4, Extreme(largest=True)).tolist() == last
    assert tsn_midpoints(count, num_frames, 4).tolist() == middle
    assert segment_test_clips(count, num_frames, 4, 2).tolist() == [middle, first]
    assert segment_test_clips(count, num_frames, 4, 1).tolist() == [middle]


def test_every_frame_of_every_segment_is_drawn():
    clips = np.stack([tsn_segments(10, 4, 1, np.random.default_rng(seed)) for seed in range(80)])
    assert [set(segment) for segment in clips.T] == [{0, 1}, {2, 3, 4}, {5, 6}, {7, 8, 9}]


def test_the_published_test_of_something_something():
    """48 frames in 16 segments of 3."""
    mids, starts = segment_test_clips(48, 16, 2, 2).tolist()
    assert mids == [1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 43, 46]
    assert starts == [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45]


@pytest.mark.parametrize("clips", [0, 3])
def test_segments_give_two_clips(clips):
    with pytest.raises(ConfigError, match=rf"{clips} test clips by segments: there are 2"):
        segment_test_clips(48, 16, 2, clips)


@pytest.mark.parametrize(
    ("count", "clips", "expected"),
    [
        # 3 frames at stride 2. 20 frames: N = 10 (0 2 … 18), room 7, starts ⌊7k/2⌋ = 0 3 7 on the strided frames.
        (20, 3, [[0, 2, 4], [6, 8, 10], [14, 16, 18]]),
        # 21 frames: N = 11 (… 20), room 8.
        (21, 3, [[0, 2, 4], [8, 10, 12], [16, 18, 20]]),
        (21, 2, [[0, 2, 4], [16, 18, 20]]),
        (21, 1, [[8, 10, 12]]),
        (5, 2, [[0, 2, 4], [0, 2, 4]]),  # N = 3, no room
        (4, 2, [[0, 2, 2], [0, 2, 2]]),
        (1, 2, [[0, 0, 0], [0, 0, 0]]),
    ],
)
def test_dense_test_clips(count, clips, expected):
    assert dense_test_clips(count, 3, 2, clips).tolist() == expected


def test_the_published_test_of_kinetics():
    """300 frames at stride 4: N = 75, starts ⌊59k/4⌋ = 0 14 29 44 59 on the strided frames."""
    clips = dense_test_clips(300, 16, 4, 5)
    assert clips[:, 0].tolist() == [0, 56, 116, 176, 236]
    assert clips[:, -1].tolist() == [60, 116, 176, 236, 296]
    assert (np.diff(clips) == 4).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_every_sampler_keeps(name):
    sampler = SAMPLERS[name]
    assert list(inspect.signature(sampler).parameters) == ["count", "num_frames", "stride", "rng", "short_clip"]
    for count in (1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 200):
        for short_clip in ("repeat_last", "loop"):
            numbers = sampler(count, 8, 2, np.random.default_rng(count), short_clip)
            assert numbers.shape == (8,)
            assert numbers.dtype == np.int64
            assert numbers.min() >= 0
            assert numbers.max() < count
            assert short_clip == "loop" or (np.diff(numbers) >= 0).all()
            again = sampler(count, 8, 2, np.random.default_rng(count), short_clip)
            np.testing.assert_array_equal(again, numbers)
    with pytest.raises(ValueError, match="a video of 0 frames"):
        sampler(0, 4, 1, np.random.default_rng(0), "repeat_last")


@pytest.mark.parametrize("name", TEST_SAMPLERS)
def test_what_every_test_sampler_keeps(name):
    sampler = TEST_SAMPLERS[name]
    assert list(inspect.signature(sampler).parameters) == ["count", "num_frames", "stride", "clips", "short_clip"]
    for count in (1, 2, 7, 15, 16, 33, 200):
        numbers = sampler(count, 8, 2, 2, "repeat_last")
        assert numbers.shape == (2, 8)
        assert numbers.dtype == np.int64
        assert numbers.min() >= 0
        assert numbers.max() < count
        assert (np.diff(numbers) >= 0).all()
    with pytest.raises(ValueError, match="a video of 0 frames"):
        sampler(0, 4, 1, 2, "repeat_last")


def test_every_sampler_has_a_kind_and_every_kind_a_clip_that_is_always_the_same():
    assert KINDS.keys() == SAMPLERS.keys()
    assert set(KINDS.values()) == CENTERS.keys() == TEST_SAMPLERS.keys() == set(CLIP_KINDS)
    for kind, center in CENTERS.items():
        assert KINDS[center] == kind
        clips = [SAMPLERS[center](57, 4, 3, np.random.default_rng(seed), "repeat_last") for seed in range(5)]
        assert len({clip.tobytes() for clip in clips}) == 1


def test_several_clips_of_a_video_are_several_generators():
    clips = {tuple(dense_stride(300, 16, 4, np.random.default_rng([7, k]))) for k in range(4)}
    assert len(clips) == 4


def test_an_unknown_policy():
    assert SHORT_CLIPS == ("repeat_last", "loop", "skip")
    for sampler in (dense_stride, videomae_dense):
        with pytest.raises(ConfigError, match="short_clip 'looped' does not exist; did you mean 'loop'"):
            sampler(10, 4, 4, FixedDraw(0), "looped")
