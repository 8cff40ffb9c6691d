"""The demo's videos: the motion is what the class says, and one frame does not tell it."""

import itertools

import cv2
import numpy as np
import pytest

from mae.data.rendered.shapes import CLASS_NAMES, DIAMETERS, FRAME_SIZE, NUM_FRAMES, draw_motion, render_video
from mae.seeds import generator

VIDEOS = 3  # of every class that the motion is measured on


def rendered(name: str, number: int, seed: int = 0) -> np.ndarray:
    return render_video(name, generator(seed, "shapes", CLASS_NAMES.index(name), number))


def object_mask(video: np.ndarray) -> np.ndarray:
    """(T, H, W) bool. In every channel the object lies beyond the background's grey levels, on one side.

    The gap between them is at 61 to 73 where the background is light and at 182 to 194 where it is dark.
    """
    in_low_gap, in_high_gap = (np.sum((low < video) & (video < low + 14), axis=(0, 1, 2)) for low in (60, 181))
    is_light = in_low_gap < in_high_gap
    return np.all(np.where(is_light, video < 67, video > 188), axis=-1)


def centres(mask: np.ndarray) -> np.ndarray:
    """The object's path (T, 2) as x, y in pixels; circular means, unwrapped, because the frame is a torus."""
    phase = 2 * np.pi * np.arange(FRAME_SIZE) / FRAME_SIZE
    path = [np.angle((mask.sum(axis=axis) * np.exp(1j * phase)).sum(axis=-1)) for axis in (1, 2)]
    return np.unwrap(np.stack(path, axis=-1), axis=0) * FRAME_SIZE / (2 * np.pi)


def turning(mask: np.ndarray) -> float:
    """Degrees turned over the video, clockwise as seen, from the outline's shift in polar coordinates."""
    profiles = []
    for frame, (x, y) in zip(mask, centres(mask), strict=True):
        middle = FRAME_SIZE // 2
        right, down = round(middle - x), round(middle - y)
        centred = np.roll(frame, (down, right), axis=(0, 1)).astype(np.float32)
        centre = (x + right, y + down)
        profiles.append(cv2.warpPolar(centred, (32, 360), centre, 32, cv2.WARP_POLAR_LINEAR).ravel())
    turned = 0
    for before, after in itertools.pairwise(profiles[::2]):  # two frames apart: one turns by few pixels
        scores = {step: np.dot(np.roll(before, step * 32), after) for step in range(-20, 21)}
        turned += max(scores, key=lambda step: scores[step])
    return turned


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_every_class_renders_large_clear_objects(name):
    for number in range(VIDEOS):
        video = rendered(name, number)
        assert video.shape == (NUM_FRAMES, FRAME_SIZE, FRAME_SIZE, 3)
        assert video.dtype == np.uint8
        share = object_mask(video).mean(axis=(1, 2))
        assert share.min() > 0.03
        assert share.max() < 0.4


def test_video_is_a_function_of_the_seed():
    name = CLASS_NAMES[0]
    np.testing.assert_array_equal(rendered(name, 0), rendered(name, 0))
    assert np.abs(rendered(name, 0).astype(int) - rendered(name, 1)).mean() > 5
    assert np.abs(rendered(name, 0).astype(int) - rendered(name, 0, seed=1)).mean() > 5


def test_class_names_are_sorted_and_checked():
    assert list(CLASS_NAMES) == sorted(set(CLASS_NAMES))
    with pytest.raises(ValueError, match="there are circle_clockwise"):
        draw_motion("jump", np.random.default_rng(0))


@pytest.mark.parametrize("number", range(VIDEOS))
@pytest.mark.parametrize(
    ("name", "direction"),
    [("move_left", (-1, 0)), ("move_right", (1, 0)), ("move_up", (0, -1)), ("move_down", (0, 1))],
)
def test_movers_cross_the_frame(name, direction, number):
    path = centres(object_mask(rendered(name, number)))
    along, across = path @ direction, path @ direction[::-1]
    assert along[-1] - along[0] > 40
    assert np.all(np.diff(along) > 0)
    assert np.ptp(across) < 1


@pytest.mark.parametrize("number", range(VIDEOS))
@pytest.mark.parametrize(("name", "sign"), [("circle_clockwise", 1), ("circle_counterclockwise", -1)])
def test_circlers_enclose_an_area_on_the_right_side(name, sign, number):
    path = centres(object_mask(rendered(name, number)))
    step, arm = np.diff(path, axis=0), path[:-1] - path.mean(axis=0)
    swept = sign * (arm[:, 0] * step[:, 1] - arm[:, 1] * step[:, 0])  # y points down: positive is clockwise
    assert np.all(swept > 0)
    assert swept.sum() / 2 > 1.5 * np.pi * 8**2  # at least one and a half rounds of the smallest radius
    assert abs(turning(object_mask(rendered(name, number)))) < 20


@pytest.mark.parametrize("number", range(VIDEOS))
@pytest.mark.parametrize(("name", "axis"), [("shake_horizontal", 0), ("shake_vertical", 1)])
def test_shakers_go_to_and_fro(name, axis, number):
    path = centres(object_mask(rendered(name, number)))
    assert np.ptp(path[:, axis]) > 16
    assert np.ptp(path[:, 1 - axis]) < 1
    turns = np.diff(np.sign(np.diff(path[:, axis])))
    assert np.count_nonzero(turns) >= 3


@pytest.mark.parametrize("number", range(VIDEOS))
@pytest.mark.parametrize(("name", "sign"), [("rotate_clockwise", 1), ("rotate_counterclockwise", -1)])
def test_rotators_turn_on_the_spot(name, sign, number):
    mask = object_mask(rendered(name, number))
    assert sign * turning(mask) > 90
    assert np.ptp(centres(mask), axis=0).max() < 0.75 * DIAMETERS[1]  # a half disc's centroid swings around


@pytest.mark.parametrize("number", range(VIDEOS))
@pytest.mark.parametrize(("name", "order"), [("grow", 1), ("shrink", -1)])
def test_growers_and_shrinkers_change_their_area(name, order, number):
    area = object_mask(rendered(name, number)).sum(axis=(1, 2))[::order]
    assert area[-1] > 3.5 * area[0]
    assert np.all(np.diff(area[::4]) > 0)


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_one_frame_does_not_tell_the_class(name):
    """Position, angle and size at a random time are distributed as in every other class: uniformly."""
    rng = np.random.default_rng(0)
    poses = []
    for _ in range(1000):
        motion, t = draw_motion(name, rng), rng.integers(NUM_FRAMES)
        turns = (motion.x[t] / FRAME_SIZE, motion.y[t] / FRAME_SIZE, motion.angle[t] / (2 * np.pi))
        size = np.log(motion.diameter[t] / DIAMETERS[0]) / np.log(DIAMETERS[1] / DIAMETERS[0])
        poses.append((*(turn % 1 for turn in turns), size))
    for values in np.transpose(poses):
        observed = np.histogram(values, bins=8, range=(0, 1))[0]
        assert observed.sum() == 1000
        # Each bin expects 125 with a standard deviation of 10.5; the discrete times of grow add a little.
        assert np.abs(observed - 125).max() < 50


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_no_patch_is_flat(name):
    """A patch's own contrast stays far above rounding (standard deviation 0.29), the only noise there is."""
    frame = rendered(name, 0)[0].astype(float)
    patches = frame.reshape(FRAME_SIZE // 8, 8, FRAME_SIZE // 8, 8, 3).std(axis=(1, 3))
    assert patches.min() > 1.5
    assert np.median(patches) > 2.5


def test_before_a_dark_background_the_object_is_the_brightest_everywhere():
    video = render_video("move_left", generator(0, "shapes"), background="dark")
    behind = np.bincount(video.ravel()).argmax()
    assert 10 <= behind <= 50
    is_behind = (video == behind).all(axis=-1)
    assert 0.3 < is_behind.mean() < 0.97
    assert (video[~is_behind] >= behind).all()  # edges are mixtures of both
    assert np.percentile(video[~is_behind], 80) > 110
