"""Camera motions, measured on the frames by OpenCV's registration; one frame does not tell the class."""

import itertools

import cv2
import numpy as np
import pytest

from mae.data.rendered.camera import CLASS_NAMES, SCALES, draw_scene, draw_views, render_video
from mae.data.rendered.shapes import NUM_FRAMES
from mae.seeds import generator


def grey_video(name: str, number: int) -> np.ndarray:
    video = render_video(name, generator(0, "camera test", number), held_out=False)
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video])


def registered(video: np.ndarray) -> np.ndarray:
    """(3,): how many pixels the content moves right and down from frame to frame, and turns clockwise (degrees); and
    its growth."""
    found = []
    for before, after in itertools.pairwise(video):
        _, warp = cv2.findTransformECC(before, after, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE)
        linear, middle = warp[:, :2], np.full(2, 31.5)
        moved = linear @ middle + warp[:, 2] - middle
        found.append([*moved, np.degrees(np.arctan2(linear[1, 0], linear[0, 0])), np.sqrt(np.linalg.det(linear))])
    return np.median(found, axis=0)


@pytest.mark.parametrize(
    ("name", "direction"),
    [("pan_left", (1, 0)), ("pan_right", (-1, 0)), ("pan_up", (0, 1)), ("pan_down", (0, -1))],
)
def test_what_a_panning_camera_sees_goes_the_other_way(name, direction):
    right, down, turn, growth = registered(grey_video(name, 0))
    along, across = np.dot((right, down), direction), np.dot((right, down), direction[::-1])
    assert 1.1 < along < 2.5
    assert abs(across) < 0.1
    assert abs(turn) < 0.2
    assert growth == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize(("name", "sign"), [("roll_clockwise", -1), ("roll_counterclockwise", 1)])
def test_what_a_rolling_camera_sees_turns_the_other_way(name, sign):
    right, down, turn, growth = registered(grey_video(name, 1))
    assert 2.9 < sign * turn < 6.1
    assert np.hypot(right, down) < 0.1
    assert growth == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize(("name", "sign"), [("zoom_in", 1), ("zoom_out", -1)])
def test_zooms_magnify_by_the_same_factor_every_frame(name, sign):
    right, down, turn, growth = registered(grey_video(name, 1))
    assert growth == pytest.approx((SCALES[1] / SCALES[0]) ** (sign / (NUM_FRAMES - 1)), abs=0.005)
    assert np.hypot(right, down) < 0.1
    assert abs(turn) < 0.2


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_one_frame_does_not_tell_the_class(name):
    """Place, angle and scale at a random time are distributed as in every other class: uniformly."""
    rng = np.random.default_rng(0)
    picture = np.zeros((160, 200, 3), np.uint8)
    drawn = []
    for _ in range(1000):
        view = draw_views(name, rng, picture)[rng.integers(NUM_FRAMES)]
        nearness = np.log(view.scale / SCALES[0]) / np.log(SCALES[1] / SCALES[0])
        drawn.append((view.x / 400 % 1, view.y / 320 % 1, view.angle / (2 * np.pi) % 1, nearness))
    for values in np.transpose(drawn):
        observed = np.histogram(values, bins=8, range=(-1e-9, 1 + 1e-9))[0]
        assert observed.sum() == 1000
        # Each bin expects 125 with a standard deviation of 10.5; the discrete times of zooms add a little.
        assert np.abs(observed - 125).max() < 50


def test_every_part_of_a_scene_has_a_mark():
    """Marks are brighter than the dimmed picture in every channel, and as large as half a cell or so."""
    scene = draw_scene(np.random.default_rng(0), held_out=True)
    is_marked = (scene >= 127).all(axis=-1)
    rows, columns = (length // 56 * 56 for length in is_marked.shape)
    shares = is_marked[:rows, :columns].reshape(rows // 56, 56, columns // 56, 56).mean(axis=(1, 3))
    assert shares.min() > 0.05
    assert shares.max() < 0.4
