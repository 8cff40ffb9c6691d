"""A camera over pictures: what it sees is worked out by slicing, mirroring and turning arrays."""

import sys

import numpy as np
import pytest

from mae.data.rendered import pictures
from mae.data.rendered.pictures import PICTURES, View, draw_picture, load_pictures, look
from mae.errors import ConfigError

SIZE = 64
MIDDLE = (SIZE - 1) / 2  # of a frame whose first pixel is at 0


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (160, 200, 3), np.uint8)


def test_a_camera_at_rest_sees_a_part_of_the_picture(picture):
    np.testing.assert_array_equal(look(picture, View(MIDDLE + 7, MIDDLE + 30)), picture[30:94, 7:71])
    np.testing.assert_array_equal(look(picture, View(MIDDLE + 7, MIDDLE + 30), 96)[16:80, 16:80], picture[30:94, 7:71])


@pytest.mark.parametrize("distance", [1, 5])
def test_a_pan_shifts_the_frame_by_its_pixels(picture, distance):
    before, after = (look(picture, View(60 + x, 70 + y)) for x, y in ((0, 0), (distance, 2 * distance)))
    np.testing.assert_array_equal(after[: -2 * distance, :-distance], before[2 * distance :, distance:])


def test_the_picture_goes_on_mirrored(picture):
    around = np.pad(picture, ((160, 160), (200, 200), (0, 0)), mode="symmetric")
    for left, top in ((-40, -10), (170, 140), (-199, 300)):
        seen = look(picture, View(MIDDLE + left, MIDDLE + top))
        wrapped = np.pad(around, ((0, 160), (0, 0), (0, 0)), mode="symmetric")
        np.testing.assert_array_equal(seen, wrapped[160 + top : 224 + top, 200 + left : 264 + left])


def test_a_camera_turned_clockwise_sees_the_picture_turned_back(picture):
    upright, turned = (look(picture, View(80, 80, angle)).astype(int) for angle in (0, np.pi / 2))
    assert np.abs(turned - np.rot90(upright)).max() <= 1


def test_a_camera_twice_as_near_shows_pixels_twice_as_far_apart(picture):
    near = look(picture, View(MIDDLE / 2 + 20, MIDDLE / 2 + 50, scale=0.5))
    np.testing.assert_array_equal(near[::2, ::2], picture[50:82, 20:52])


def test_held_out_videos_show_other_parts_of_the_pictures():
    """Both parts beside each other are the pictures: no column is in both."""
    training, held_out = load_pictures(False), load_pictures(True)
    for name, left, right in zip(PICTURES, training, held_out, strict=True):
        np.testing.assert_array_equal(np.concatenate([left, right], axis=1), pictures._load(name))
        assert min(left.shape[0], left.shape[1] + right.shape[1]) == 160
        assert right.shape[1] > 60
    rng = np.random.default_rng(0)
    for part, parts in ((False, training), (True, held_out)):
        drawn = {draw_picture(rng, part).shape for _ in range(60)}
        assert drawn == {picture.shape for picture in parts}


@pytest.mark.parametrize("package", ["skimage", "sklearn"])
def test_a_package_that_is_missing_is_named(monkeypatch, package):
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)  # as where it is not installed
    with pytest.raises(ConfigError, match=r"scikit-image and scikit-learn.*pip install -e '\.\[sets\]'"):
        pictures.load_pictures.__wrapped__(False)
