"""How processes that train together agree; what another one answers is given."""

import numpy as np
import pytest

from mae.engines.workers import Workers
from mae.errors import ConfigError, Interrupted, TrainingStopped


class Pretended(Workers):
    """What another worker answers is given; `is_chief` as its own index says."""

    def answer(self, *values):
        object.__setattr__(self, "answers", list(values))
        return self

    def gather(self, value):
        others = self.answers.pop(0)
        return [value, others] if self.index == 0 else [others, value]


def pretended(*answers, index=0):
    return Pretended(index).answer(*answers)


def test_a_signal_to_one_is_a_signal_to_all():
    assert pretended(0).agree(None) is None
    assert pretended(15).agree(None) == 15
    assert pretended(0).agree(2) == 2


def test_what_fails_on_one_fails_on_all():
    def fail():
        raise TrainingStopped("disk full")

    assert pretended(0).together(lambda: 7) == 7
    with pytest.raises(TrainingStopped, match="disk full"):
        pretended(0).together(fail)
    with pytest.raises(TrainingStopped, match="worker 1 of 1 stopped; its own output says why"):
        pretended(2).together(lambda: 7)
    with pytest.raises(ConfigError, match="worker 0 of 1 stopped"):
        pretended(1, index=1).together(lambda: 7)


def test_what_a_signal_gives_up_on_one_is_given_up_on_all():
    def give_up():
        raise Interrupted(15, "interrupted")

    with pytest.raises(Interrupted, match=r"^interrupted$"):
        pretended(0).together(give_up)
    with pytest.raises(Interrupted, match="worker 0 of 1 was interrupted") as told:
        pretended(128 + 15, index=1).together(lambda: 7)
    assert told.value.signum == 15


def test_the_others_begin_when_the_chief_is_done():
    done = []
    assert pretended(0, 0, index=0).chief_first(lambda: done.append("chief") or 1) == 1
    assert pretended(0, 0, index=1).chief_first(lambda: done.append("other") or 2) == 2
    assert done == ["chief", "other"]
    with pytest.raises(ConfigError):
        pretended(1, 0, index=1).chief_first(lambda: done.append("never"))
    assert done == ["chief", "other"]


def test_workers_that_differ_are_refused():
    pretended(3).check_same("the steps made", 3)
    with pytest.raises(ConfigError, match=r"the workers differ in the steps made \(3, 0\)"):
        pretended(0).check_same("the steps made", 3)


def test_one_process_agrees_with_itself():
    alone = Workers()
    assert (alone.is_chief, alone.count) == (True, 1)
    assert alone.agree(None) is None
    assert alone.agree(15) == 15
    assert alone.gather(4) == [4]


def test_what_each_knows_comes_from_a_sum():
    """Three processes, each of which adds its own number at its own place to 7 0 9."""
    second = Workers(1, 3, add_up=lambda mine: np.add(mine, [7, 0, 9]))
    assert second.gather(8) == [7, 8, 9]
