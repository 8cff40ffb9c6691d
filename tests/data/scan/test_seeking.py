import pytest

from mae.data.scan.observed import has_variable_rate
from mae.data.scan.seeking import KeyFrames
from mae.data.videos.pyav_video import KeyFrame


def key_frames(times, keys):
    found = KeyFrames()
    for number, time in enumerate(times):
        found.take(time, number in keys)
    return found.found


def test_key_frames_are_kept_at_a_distance_that_is_worth_a_seek():
    times = [10 * number for number in range(100)]
    assert key_frames(times, range(100)) == tuple(KeyFrame(n, 10 * n) for n in range(0, 100, 16))
    assert key_frames(times, (0, 10, 50)) == (KeyFrame(0, 0), KeyFrame(50, 500))


@pytest.mark.parametrize("wrong", [None, 300, 10, -5])
def test_times_that_do_not_tell_frames_apart_give_none(wrong):
    times = [10 * number for number in range(60)]
    times[31] = wrong
    assert key_frames(times, (0, 30)) == ()


def test_one_key_frame_is_nowhere_to_seek_to():
    assert key_frames([0, 1, 2], (0,)) == ()


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 512, 1024, 1536], False),
        ([0, 33, 67, 100, 133, 167, 200], False),  # 30 frames per second in milliseconds
        ([0, 40, 80, 160, 200], True),
        ([0, 1, 2, 4, 5, 6, 8, 9], False),  # a unit more or less is how some containers count
        ([0, 40, 40, 80], None),
        ([0, None, 80], None),
        ([5], None),
        ([], None),
    ],
)
def test_variable_rates(times, expected):
    assert has_variable_rate(times) is expected
