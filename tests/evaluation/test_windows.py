import numpy as np
import pytest

from mae.data.sampling import dense_stride_center
from mae.errors import BadVideo, ConfigError
from mae.evaluation.windows import ClipPlan


@pytest.mark.parametrize(
    ("clips", "end", "expected"),
    [
        (1, 20, [[6, 8, 10, 12]]),  # span 8, latest start 12
        (3, 20, [[0, 2, 4, 6], [6, 8, 10, 12], [12, 14, 16, 18]]),
        (2, 8, [[0, 2, 4, 6], [0, 2, 4, 6]]),
        (1, 5, [[0, 2, 4, 4]]),
        (2, 1, [[0, 0, 0, 0], [0, 0, 0, 0]]),
    ],
)
def test_clips_by_hand(clips, end, expected):
    np.testing.assert_array_equal(ClipPlan(4, 2, clips).clips_of(0, end), expected)
    np.testing.assert_array_equal(ClipPlan(4, 2, clips).clips_of(100, 100 + end), np.array(expected) + 100)


@pytest.mark.parametrize("count", [1, 7, 63, 64, 65, 300])
def test_a_single_clip_is_that_of_the_validation(count):
    np.testing.assert_array_equal(ClipPlan(16, 4, 1).clips_of(0, count)[0], dense_stride_center(count, 16, 4))


@pytest.mark.parametrize(
    ("window", "step", "count", "expected"),
    [
        (None, None, 50, [[0, 50]]),
        (2.0, None, 50, [[0, 20], [20, 40], [30, 50]]),
        (2.0, None, 40, [[0, 20], [20, 40]]),
        (2.0, 1.5, 50, [[0, 20], [15, 35], [30, 50]]),
        (2.0, None, 12, [[0, 12]]),
        (None, 1.0, 30, [[0, 8], [10, 18], [20, 28], [22, 30]]),  # as long as a clip: 4 frames at stride 2
    ],
)
def test_windows_by_hand(window, step, count, expected):
    made = ClipPlan(4, 2, 1, window, step).windows(count, 10.0)
    np.testing.assert_array_equal(made, expected)


def test_windows_need_a_frame_rate():
    with pytest.raises(BadVideo, match="states no frame rate"):
        ClipPlan(4, 2, 1, 2.0).windows(50, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"clips": 0}, "clips=0"), ({"frame_stride": 0}, "frame_stride=0"), ({"window": 0.0}, "window=0 must"),
     ({"step": -1.0}, "stride=-1 must")],
)  # fmt: skip
def test_wrong_plans(changes, message):
    with pytest.raises(ConfigError, match=message):
        ClipPlan(**{"num_frames": 4, "frame_stride": 2, "clips": 1, **changes})
