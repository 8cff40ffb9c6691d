import struct

import av
import numpy as np
import pytest

from mae.data.videos import pixels
from mae.data.videos.display_matrix import ODD_ANGLE, UPRIGHT, _of_matrix, orientation
from mae.data.videos.pixels import Pixels


def matrix(a, b, c, d):
    """As FFmpeg has it: 16.16 fixed point, the last column 2.30."""
    return struct.pack("=9i", *(round(65536 * value) for value in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)


def shown(stored, a, b, c, d):
    """By the definition: the pixel stored at (x, y) goes to (a·x + c·y, b·x + d·y), moved into the picture."""
    height, width = stored.shape[:2]
    places = {(a * x + c * y, b * x + d * y): stored[y, x] for x in range(width) for y in range(height)}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    columns, rows = len({x for x, _ in places}), len({y for _, y in places})
    return np.array([[places[left + x, top + y] for x in range(columns)] for y in range(rows)])


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((1, 0, 0, 1), "upright"),
        ((0, 1, -1, 0), "90°"),
        ((-1, 0, 0, -1), "180°"),
        ((0, -1, 1, 0), "270°"),
        ((-1, 0, 0, 1), "mirrored"),
        ((0, -1, -1, 0), "mirrored, 90°"),
        ((1, 0, 0, -1), "mirrored, 180°"),
        ((0, 1, 1, 0), "mirrored, 270°"),
    ],
)
def test_every_way_a_picture_can_lie(monkeypatch, values, name):
    found = _of_matrix(matrix(*values))
    assert found.name == name
    stored = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
    monkeypatch.setattr(pixels, "orientation", lambda frame: found)
    made = Pixels().of(av.VideoFrame.from_ndarray(stored, format="rgb24"))
    np.testing.assert_array_equal(made, shown(stored, *values))


@pytest.mark.parametrize("degrees", [1.5, 45, 88, 200])
def test_other_angles(degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    assert _of_matrix(matrix(cosine, sine, -sine, cosine)) == ODD_ANGLE


@pytest.mark.parametrize(
    ("rotation", "name"),
    [(0, "upright"), (-90, "90°"), (180, "180°"), (-180, "180°"), (90, "270°"), (45, ODD_ANGLE.name)],
)
def test_a_frame_that_brings_what_pyav_has_no_name_for(rotation, name):
    class Frame:
        @property
        def side_data(self):
            raise ValueError("31 is not a valid Type")

    frame = Frame()
    frame.rotation = rotation
    assert orientation(frame).name == name


def test_what_is_nearly_upright_or_says_nothing():
    assert _of_matrix(matrix(1, 0.01, -0.01, 1)) == UPRIGHT
    assert _of_matrix(matrix(2, 0, 0, 0.5)) == UPRIGHT, "stretched"
    assert _of_matrix(bytes(36)) == UPRIGHT
