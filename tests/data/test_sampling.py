import numpy as np
import pytest

from mae.data.sampling import dense_stride, dense_stride_center


class FixedDraw:
    """Stands in for a generator: remembers the bound and draws a given number below it."""

    def __init__(self, value):
        self.value = value
        self.bound = None

    def integers(self, bound):
        self.bound = bound
        assert 0 <= self.value < bound
        return self.value


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
def test_frame_numbers(count, num_frames, stride, drawn, bound, expected):
    rng = FixedDraw(drawn)
    assert dense_stride(count, num_frames, stride, rng).tolist() == expected
    assert rng.bound == bound


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
def test_centre(count, num_frames, stride, expected):
    assert dense_stride_center(count, num_frames, stride).tolist() == expected


def test_the_published_clip_of_kinetics():
    assert dense_stride_center(300, 16, 4).tolist() == [118 + 4 * i for i in range(16)]


def test_no_frame_no_clip():
    with pytest.raises(ValueError, match="a video of 0 frames"):
        dense_stride_center(0, 4, 1)
