"""Textured objects before textured backgrounds: both move, and the object is the brighter one."""

import cv2
import numpy as np
import pytest

from mae.data.rendered.objects import CLASS_NAMES, draw_background, render_video
from mae.seeds import generator


def rendered(name: str, number: int) -> np.ndarray:
    return render_video(name, generator(0, "objects test", number), held_out=False).astype(np.float32)


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_objects_are_brighter_than_what_is_behind_in_every_channel(name):
    video = rendered(name, 0)
    share = (video > 127.5).all(axis=-1).mean(axis=(1, 2))
    assert share.min() > 0.03
    assert share.max() < 0.4


@pytest.mark.parametrize("number", range(3))
def test_the_background_drifts_slowly_in_any_direction(number):
    """As OpenCV registers it: the same way from frame to frame."""
    frames = draw_background(np.random.default_rng(number), held_out=False).mean(axis=-1)
    steps = []
    for before, after in zip(frames[:-4:4], frames[4::4], strict=True):
        _, warp = cv2.findTransformECC(before, after, np.eye(2, 3, dtype=np.float32), cv2.MOTION_TRANSLATION)
        steps.append(warp[:, 2] / 4)
    assert 0.25 < np.hypot(*np.mean(steps, axis=0)) < 1.05
    assert np.ptp(steps, axis=0).max() < 0.1


def test_objects_move_as_their_class_says():
    """Of `move_right`, what is bright comes back on the left: its mean phase grows steadily."""
    video = rendered("move_right", 1)
    columns = (video > 127.5).all(axis=-1).sum(axis=1)
    phase = np.unwrap(np.angle((columns * np.exp(2j * np.pi * np.arange(64) / 64)).sum(axis=-1))) * 64 / (2 * np.pi)
    assert np.all(np.diff(phase) > 1.2)
    assert np.all(np.diff(phase) < 3.3)
