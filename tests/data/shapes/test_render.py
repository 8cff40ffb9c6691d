"""The embedded data set: the motion is what the class says, one frame does not tell, files keep every pixel."""

import itertools
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mae.data.config import ShapesDataset
from mae.data.shapes.motion import DIAMETERS, FRAME_SIZE, NUM_FRAMES, draw_motion
from mae.data.shapes.render import CLASS_NAMES, ensure_shapes, render_video, shapes_root
from mae.errors import ConfigError
from mae.seeds import generator

VIDEOS = 3  # of every class that the motion is measured on


def configuration(
    root: Path | None, videos_per_class: int = 1, seed: int = 0, classes: str = "all", background: str = "ramp"
) -> ShapesDataset:
    text = None if root is None else str(root)
    return ShapesDataset("shapes", 1, text, videos_per_class, seed, 1, classes, background)


def rendered(name: str, number: int, seed: int = 0) -> np.ndarray:
    return render_video(name, generator(seed, "shapes", CLASS_NAMES.index(name), number))


def read_video(path: Path) -> np.ndarray:
    reader = cv2.VideoCapture(str(path))
    frames = []
    while True:
        ok, frame = reader.read()
        if not ok:
            return np.stack(frames)
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


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


def test_files_hold_the_rendered_frames(tmp_path):
    calls = []
    root = ensure_shapes(configuration(tmp_path / "videos"), lambda done, total: calls.append((done, total)))
    assert calls == [(done, len(CLASS_NAMES)) for done in range(1, len(CLASS_NAMES) + 1)]
    assert sorted(path.name for path in root.iterdir() if path.is_dir()) == list(CLASS_NAMES)
    for name in CLASS_NAMES:
        np.testing.assert_array_equal(read_video(root / name / f"{name}_0000.avi"), rendered(name, 0))


def test_rendering_happens_once(tmp_path):
    root = ensure_shapes(configuration(tmp_path / "videos"))
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}

    def fail(done, total):
        raise AssertionError("rendered again")

    assert ensure_shapes(configuration(tmp_path / "videos"), fail) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


def test_default_place_is_the_cache_and_names_what_it_holds(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "mae-video" / "shapes-v1-40-7"
    assert shapes_root(configuration(None, videos_per_class=40, seed=7)) == root
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shapes_root(configuration(None)) == tmp_path / ".cache" / "mae-video" / "shapes-v1-1-0"


def test_interruption_leaves_nothing(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_shapes(configuration(tmp_path / "videos", videos_per_class=3), interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_comes_second_takes_the_first_ones_files(tmp_path):
    config = configuration(tmp_path / "videos")
    other: list[Path] = []

    def overtake(done, total):
        if not other:
            other.append(tmp_path)
            ensure_shapes(config)

    assert ensure_shapes(config, overtake) == tmp_path / "videos"
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


def test_an_empty_directory_is_filled(tmp_path):
    (tmp_path / "videos").mkdir()
    root = ensure_shapes(configuration(tmp_path / "videos"))
    assert len(list(root.glob("*/*.avi"))) == len(CLASS_NAMES)


def test_foreign_content_is_refused_and_kept(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    for path in ("mine", "file"):
        with pytest.raises(ConfigError, match="holds something else") as caught:
            ensure_shapes(configuration(tmp_path / path))
        assert "\n" not in str(caught.value)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
    assert (tmp_path / "file").read_text() == "keep"
    assert len(list(tmp_path.rglob("*"))) == 3


def test_other_or_incomplete_renderings_are_refused(tmp_path):
    root = ensure_shapes(configuration(tmp_path / "videos"))
    with pytest.raises(ConfigError, match="rendered with seed=0, not 5"):
        ensure_shapes(configuration(root, seed=5))
    os.remove(root / "grow" / "grow_0000.avi")
    with pytest.raises(ConfigError, match=r"lacks 1 of 12 videos, first grow_0000\.avi"):
        ensure_shapes(configuration(root))
    assert not (root / "grow" / "grow_0000.avi").exists()


def test_a_rendering_before_another_background_is_refused(tmp_path):
    ensure_shapes(configuration(tmp_path / "ramp"))
    with pytest.raises(ConfigError, match="was rendered with background=ramp, not dark"):
        ensure_shapes(configuration(tmp_path / "ramp", background="dark"))
    ensure_shapes(configuration(tmp_path / "dark", background="dark"))
    with pytest.raises(ConfigError, match="was rendered with background=dark, not ramp"):
        ensure_shapes(configuration(tmp_path / "dark"))
    assert shapes_root(configuration(None)).name == "shapes-v1-1-0"
    assert shapes_root(configuration(None, background="dark")).name == "shapes-v1-dark-1-0"
    with pytest.raises(ConfigError, match=r"dataset\.background"):
        ensure_shapes(configuration(tmp_path / "none", background="light"))


def test_a_video_does_not_depend_on_which_classes_are_rendered(tmp_path):
    everything = ensure_shapes(configuration(tmp_path / "all"))
    straight = ensure_shapes(configuration(tmp_path / "straight", classes="straight"))
    names = sorted(path.name for path in straight.iterdir() if path.is_dir())
    assert names == [
        *("grow", "move_down", "move_left", "move_right", "move_up", "shake_horizontal", "shake_vertical", "shrink"),
    ]
    for name in names:
        file = f"{name}/{name}_0000.avi"
        assert (straight / file).read_bytes() == (everything / file).read_bytes()
    assert shapes_root(configuration(None, classes="straight", background="dark")).name == "shapes-v1-dark-straight-1-0"


def test_a_rendering_of_other_classes_is_refused(tmp_path):
    ensure_shapes(configuration(tmp_path / "all"))
    with pytest.raises(ConfigError, match="was rendered with classes="):
        ensure_shapes(configuration(tmp_path / "all", classes="straight"))
    with pytest.raises(ConfigError, match=r"dataset\.classes"):
        ensure_shapes(configuration(tmp_path / "none", classes="round"))


def test_mistakes_are_config_errors(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.videos_per_class=0 must be at least 1"):
        ensure_shapes(configuration(tmp_path / "videos", videos_per_class=0))
    with pytest.raises(ConfigError, match=r"dataset\.seed=-1 must be at least 0"):
        ensure_shapes(configuration(tmp_path / "videos", seed=-1))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"dataset\.root=.*choose another place"):
        ensure_shapes(configuration(tmp_path / "file" / "videos"))
