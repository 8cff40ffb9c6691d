from collections import Counter

import numpy as np
import pytest

from mae.data.balanced import BalancedSchedule

LABELS = [0] * 13 + [1] * 2 + [5] * 4  # no video of the classes between


def visits(schedule, steps):
    return [schedule.visit(step, position) for step in steps for position in range(2)]


def test_classes_come_equally_often():
    schedule = BalancedSchedule(3, LABELS, 2)
    for epoch in range(6):
        steps = range(9 * epoch, 9 * (epoch + 1))  # 19 videos, two a step
        counts = Counter(LABELS[video] for _, video in visits(schedule, steps))
        assert set(counts) == {0, 1, 5}
        assert all(5 <= count <= 7 for count in counts.values())


def test_no_clip_comes_twice_and_every_video_comes():
    """What is random of a clip is a function of the visit of its video."""
    schedule = BalancedSchedule(3, LABELS, 1)
    seen = [schedule.visit(step, 0) for step in range(19 * 10)]
    assert len(set(seen)) == len(seen)
    counts = Counter(video for _, video in seen)
    assert set(counts) == set(range(19))
    for label in set(LABELS):
        of_class = [counts[video] for video in range(19) if LABELS[video] == label]
        assert max(of_class) <= min(of_class) + 1


def test_a_visit_is_a_function_of_seed_and_step():
    made = visits(BalancedSchedule(3, LABELS, 2), range(40))
    assert visits(BalancedSchedule(3, LABELS, 2), range(30, 40)) == made[60:]
    assert visits(BalancedSchedule(4, LABELS, 2), range(40)) != made
    with pytest.raises(ValueError, match=r"20 visits a step must lie in \[1, 19\]"):
        BalancedSchedule(3, LABELS, 20)


def test_even_classes_are_visited_as_without_it():
    epoch = visits(BalancedSchedule(0, np.arange(12) % 3, 2), range(6))
    assert sorted(video for _, video in epoch) == list(range(12))
