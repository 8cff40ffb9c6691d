"""Files of rendered data sets: made once, never changed, every pixel kept."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mae.data.config import OrderDataset, ShapesDataset
from mae.data.rendered import order
from mae.data.rendered.render import ensure_rendered, rendered_root
from mae.data.rendered.shapes import CLASS_NAMES, render_video
from mae.errors import ConfigError
from mae.seeds import generator


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


def test_files_hold_the_rendered_frames(tmp_path):
    calls = []
    root = ensure_rendered(configuration(tmp_path / "videos"), lambda done, total: calls.append((done, total)))
    assert calls == [(done, len(CLASS_NAMES)) for done in range(1, len(CLASS_NAMES) + 1)]
    assert sorted(path.name for path in root.iterdir() if path.is_dir()) == list(CLASS_NAMES)
    for name in CLASS_NAMES:
        np.testing.assert_array_equal(read_video(root / name / f"{name}_0000.avi"), rendered(name, 0))


def test_sets_of_motions_are_arrays(tmp_path):
    config = OrderDataset("motion_order", 4, str(tmp_path / "videos"), 1, seed=3, val_videos_per_class=1)
    root = ensure_rendered(config, held_out=True)
    assert len(list(root.glob("*/*.npy"))) == len(order.CLASS_NAMES)
    for label, name in enumerate(order.CLASS_NAMES):
        expected = order.render_video(name, generator(1_000_003, "order", label, 0), True)
        np.testing.assert_array_equal(np.load(root / name / f"{name}_0000.npy"), expected)


def test_rendering_happens_once(tmp_path):
    root = ensure_rendered(configuration(tmp_path / "videos"))
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}

    def fail(done, total):
        raise AssertionError("rendered again")

    assert ensure_rendered(configuration(tmp_path / "videos"), fail) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


def test_held_out_videos_are_others_beside_them(tmp_path):
    config = configuration(tmp_path / "videos")
    held = ensure_rendered(config, held_out=True)
    assert held == tmp_path / "videos-val"
    np.testing.assert_array_equal(read_video(held / "grow" / "grow_0000.avi"), rendered("grow", 0, seed=1_000_000))
    assert rendered_root(configuration(None), held_out=True).name == "shapes-v1-1-1000000"


def test_default_place_is_the_cache_and_names_what_it_holds(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "mae-video" / "shapes-v1-40-7"
    assert rendered_root(configuration(None, videos_per_class=40, seed=7)) == root
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert rendered_root(configuration(None)) == tmp_path / ".cache" / "mae-video" / "shapes-v1-1-0"


def test_interruption_leaves_nothing(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_rendered(configuration(tmp_path / "videos", videos_per_class=3), interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_comes_second_takes_the_first_ones_files(tmp_path):
    config = configuration(tmp_path / "videos")
    other: list[Path] = []

    def overtake(done, total):
        if not other:
            other.append(tmp_path)
            ensure_rendered(config)

    assert ensure_rendered(config, overtake) == tmp_path / "videos"
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


def test_an_empty_directory_is_filled(tmp_path):
    (tmp_path / "videos").mkdir()
    root = ensure_rendered(configuration(tmp_path / "videos"))
    assert len(list(root.glob("*/*.avi"))) == len(CLASS_NAMES)


def test_foreign_content_is_refused_and_kept(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    for path in ("mine", "file"):
        with pytest.raises(ConfigError, match="holds something else") as caught:
            ensure_rendered(configuration(tmp_path / path))
        assert "\n" not in str(caught.value)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
    assert (tmp_path / "file").read_text() == "keep"
    assert len(list(tmp_path.rglob("*"))) == 3


def test_other_or_incomplete_renderings_are_refused(tmp_path):
    root = ensure_rendered(configuration(tmp_path / "videos"))
    with pytest.raises(ConfigError, match="rendered with seed=0, not 5"):
        ensure_rendered(configuration(root, seed=5))
    os.remove(root / "grow" / "grow_0000.avi")
    with pytest.raises(ConfigError, match=r"lacks 1 of 12 videos, first grow_0000\.avi"):
        ensure_rendered(configuration(root))
    assert not (root / "grow" / "grow_0000.avi").exists()


def test_a_rendering_before_another_background_is_refused(tmp_path):
    ensure_rendered(configuration(tmp_path / "ramp"))
    with pytest.raises(ConfigError, match="was rendered with background=ramp, not dark"):
        ensure_rendered(configuration(tmp_path / "ramp", background="dark"))
    ensure_rendered(configuration(tmp_path / "dark", background="dark"))
    with pytest.raises(ConfigError, match="was rendered with background=dark, not ramp"):
        ensure_rendered(configuration(tmp_path / "dark"))
    assert rendered_root(configuration(None)).name == "shapes-v1-1-0"
    assert rendered_root(configuration(None, background="dark")).name == "shapes-v1-dark-1-0"
    with pytest.raises(ConfigError, match=r"dataset\.background"):
        ensure_rendered(configuration(tmp_path / "none", background="light"))


def test_a_video_does_not_depend_on_which_classes_are_rendered(tmp_path):
    everything = ensure_rendered(configuration(tmp_path / "all"))
    straight = ensure_rendered(configuration(tmp_path / "straight", classes="straight"))
    names = sorted(path.name for path in straight.iterdir() if path.is_dir())
    assert names == [
        *("grow", "move_down", "move_left", "move_right", "move_up", "shake_horizontal", "shake_vertical", "shrink"),
    ]
    for name in names:
        file = f"{name}/{name}_0000.avi"
        assert (straight / file).read_bytes() == (everything / file).read_bytes()
    assert (
        rendered_root(configuration(None, classes="straight", background="dark")).name == "shapes-v1-dark-straight-1-0"
    )


def test_a_rendering_of_other_classes_is_refused(tmp_path):
    ensure_rendered(configuration(tmp_path / "all"))
    with pytest.raises(ConfigError, match="was rendered with classes="):
        ensure_rendered(configuration(tmp_path / "all", classes="straight"))
    with pytest.raises(ConfigError, match=r"dataset\.classes"):
        ensure_rendered(configuration(tmp_path / "none", classes="round"))


def test_mistakes_are_config_errors(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.videos_per_class=0 must be at least 1"):
        ensure_rendered(configuration(tmp_path / "videos", videos_per_class=0))
    with pytest.raises(ConfigError, match=r"dataset\.seed=-1 must be at least 0"):
        ensure_rendered(configuration(tmp_path / "videos", seed=-1))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"dataset\.root=.*choose another place"):
        ensure_rendered(configuration(tmp_path / "file" / "videos"))
