from collections import Counter

import numpy as np
import pytest

from mae.data.transforms.spatial import (
    OFFSETS,
    SCALE_PAIRS,
    center_crop,
    multi_scale_crop,
    multi_scale_crop_box,
    resize,
)


def gradient(height, width, frames=2):
    """Red grows downwards, green to the right."""
    clip = np.zeros((frames, height, width, 3), np.uint8)
    clip[..., 0] = np.linspace(0, 255, height)[:, None]
    clip[..., 1] = np.linspace(0, 255, width)
    return clip


def test_the_tables():
    assert SCALE_PAIRS == ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3))
    assert len(set(OFFSETS)) == 13


def test_boxes_are_the_published_ones_and_equally_likely():
    rng = np.random.default_rng(0)
    boxes = Counter(multi_scale_crop_box(240, 320, rng) for _ in range(13000))
    sides = {(h, w) for _, _, h, w in boxes}
    s = (240, 210, 180, 158)
    assert sides == {(s[i], s[j]) for i, j in SCALE_PAIRS}
    places = {(top, left) for top, left, h, w in boxes if (h, w) == (180, 180)}
    corners = {(0, 0), (0, 140), (60, 0), (60, 140)}
    edges = {(0, 70), (30, 0), (30, 140), (60, 70)}
    quarters = {(15, 35), (15, 105), (45, 35), (45, 105)}
    assert places == corners | edges | quarters | {(30, 70)}
    small = [count for (_, _, h, w), count in boxes.items() if (h, w) == (180, 180)]
    assert 60 < min(small) <= max(small) < 145, "expected about 100 each"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 3), (113, 67)])
def test_boxes_lie_inside(height, width):
    rng = np.random.default_rng(1)
    for _ in range(200):
        top, left, h, w = multi_scale_crop_box(height, width, rng)
        assert 0 <= top <= top + h <= height
        assert 0 <= left <= left + w <= width
        assert min(h, w) >= 1


def test_a_crop_is_the_resized_box_of_every_frame():
    clip = gradient(48, 64)
    top, left, h, w = multi_scale_crop_box(48, 64, np.random.default_rng(5))
    crop = multi_scale_crop(clip, 16, np.random.default_rng(5))
    assert crop.shape == (2, 16, 16, 3)
    assert crop.dtype == np.uint8
    np.testing.assert_array_equal(crop, resize(clip[:, top : top + h, left : left + w], 16, 16))


def test_there_is_no_flip():
    clip = gradient(48, 64)
    for seed in range(40):
        crop = multi_scale_crop(clip, 16, np.random.default_rng(seed)).astype(int)
        assert (np.diff(crop[..., 1], axis=2) > 0).all()
        assert (np.diff(crop[..., 0], axis=1) > 0).all()


def test_resize_is_bilinear():
    row = np.array([0, 100], np.uint8).reshape(1, 1, 2, 1).repeat(3, axis=3)
    assert resize(row, 1, 4)[0, 0, :, 0].tolist() == [0, 25, 75, 100]
    assert resize(row, 1, 2) is row


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48), (17, 33), (8, 8), (5, 40)])
def test_center_crop_is_square_and_central(height, width):
    crop = center_crop(gradient(height, width), 16)
    assert crop.shape == (2, 16, 16, 3)
    long_channel = crop[0, ..., 1] if width > height else crop[0, ..., 0]
    assert abs(float(long_channel.mean()) - 127.5) < 8


def test_center_crop_keeps_the_aspect():
    clip = np.zeros((1, 40, 80, 3), np.uint8)
    clip[0, :, 20:60] = 255  # the middle square
    assert (center_crop(clip, 20)[0] > 200).all()
