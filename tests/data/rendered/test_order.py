"""Changes in one order or the other, fast or slowly; every frame of every class is drawn from one distribution."""

import numpy as np
import pytest

from mae.data.rendered.order import CLASS_NAMES, draw_change, render_video
from mae.data.rendered.shapes import FRAME_SIZE, NUM_FRAMES
from mae.seeds import generator


def changes(name: str):
    return [draw_change(name, generator(0, "order test", number)) for number in range(20)]


@pytest.mark.parametrize(("name", "sign"), [("hue_forwards", 1), ("hue_backwards", -1)])
def test_hues_go_round_the_circle(name, sign):
    for change in changes(name):
        turned = np.unwrap(change.hue, period=1)
        assert np.all(sign * np.diff(turned) > 0)
        assert 31 / 28 <= sign * (turned[-1] - turned[0]) <= 31 / 20


@pytest.mark.parametrize(("name", "sign"), [("swell_forwards", 1), ("swell_backwards", -1)])
def test_swelling_is_slow_one_way_and_sudden_the_other(name, sign):
    for change in changes(name):
        steps = sign * np.diff(change.size)
        is_sudden = steps < 0
        assert 1 <= is_sudden.sum() <= 2
        assert np.all(steps[is_sudden] < -0.9)
        assert np.all((steps[~is_sudden] > 0.045) & (steps[~is_sudden] < 0.063))


@pytest.mark.parametrize(("name", "slowest", "fastest"), [("drift_fast", 2.4, 3.4), ("drift_slow", 0.2, 0.5)])
def test_drifts_are_straight_and_steady(name, slowest, fastest):
    for change in changes(name):
        steps = np.hypot(np.diff(change.x), np.diff(change.y))
        assert slowest <= steps.min() <= steps.max() <= fastest
        assert np.ptp(steps) < 1e-9


@pytest.mark.parametrize(("name", "fewest", "most"), [("blink_fast", 3, 6), ("blink_slow", 0, 2)])
def test_blinks_turn_often_or_seldom(name, fewest, most):
    for change in changes(name):
        assert np.ptp(change.brightness) > 0.4
        steps = np.diff(change.brightness)
        is_turned = np.sign(steps[np.abs(steps) > 0.99 * np.abs(steps).max()])  # where a turn falls between frames
        assert fewest <= np.count_nonzero(np.diff(is_turned)) <= most


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_only_one_thing_changes(name):
    moving = {"drift": {"x", "y"}, "blink": {"brightness"}, "hue": {"hue"}, "swell": {"size"}}[name.split("_")[0]]
    for change in changes(name)[:5]:
        assert {key for key, values in vars(change).items() if np.ptp(values) > 0} == moving


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_one_frame_does_not_tell_the_class(name):
    """Place, size, hue and brightness at a random time are distributed as in every other class: uniformly."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(1000):
        change, t = draw_change(name, rng), rng.integers(NUM_FRAMES)
        place = (change.x[t] / FRAME_SIZE % 1, change.y[t] / FRAME_SIZE % 1)
        drawn.append((*place, change.size[t], change.hue[t], change.brightness[t]))
    for values in np.transpose(drawn):
        observed = np.histogram(values, bins=8, range=(0, 1))[0]
        assert observed.sum() == 1000
        assert np.abs(observed - 125).max() < 50  # each expects 125 with a standard deviation of 10.5


def test_what_is_behind_stays_as_it_is_and_is_the_darker():
    video = render_video("hue_forwards", generator(0, "order test"), held_out=False)
    is_still = (video == video[0]).all(axis=(0, 3))
    assert 0.5 < is_still.mean() < 0.97
    assert video[0][is_still].max() <= 128
    assert video[0][~is_still].max() > 100
