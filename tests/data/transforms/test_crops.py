import math
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from drawn_numbers import Drawn
from whole_clips import crop_clip

from mae.data.augment import CENTER, draw_crop
from mae.data.transforms.crops import (
    OFFSETS,
    SCALE_PAIRS,
    Crop,
    crop_frame,
    crop_of_box,
    flipped_at_random,
    multi_scale_crop_box,
    random_resized_crop_box,
    view_crops,
)


def noise(height, width, frames=2):
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), np.uint8)


def test_the_tables():
    assert SCALE_PAIRS == ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3))
    assert len(set(OFFSETS)) == 13


def test_multi_scale_boxes_are_the_published_ones_and_equally_likely():
    rng = np.random.default_rng(0)
    boxes = Counter(multi_scale_crop_box(240, 320, rng) for _ in range(13000))
    sides = {(h, w) for _, _, h, w in boxes}
    s = (240, 210, 180, 158)
    assert sides == {(s[i], s[j]) for i, j in SCALE_PAIRS}
    indices = {(top, left) for top, left, h, w in boxes if (h, w) == (180, 180)}
    corners = {(0, 0), (0, 140), (60, 0), (60, 140)}
    edges = {(0, 70), (30, 0), (30, 140), (60, 70)}
    quarters = {(15, 35), (15, 105), (45, 35), (45, 105)}
    assert indices == corners | edges | quarters | {(30, 70)}
    small = [count for (_, _, h, w), count in boxes.items() if (h, w) == (180, 180)]
    assert 60 < min(small) <= max(small) < 145, "expected about 100 each"


def test_boxes_for_pictures_that_are_no_squares():
    """Largest of the aspect 2 : 3 in 240 × 320 is 213.3 × 320; in 240 × 400 it is 240 × 360."""
    rng = np.random.default_rng(0)
    sides = {multi_scale_crop_box(240, 320, rng, (16, 24))[2:] for _ in range(400)}
    heights, widths = (213, 186, 160, 140), (320, 280, 240, 211)
    assert sides == {(heights[i], widths[j]) for i, j in SCALE_PAIRS}
    assert max(multi_scale_crop_box(240, 400, rng, (16, 24))[2:] for _ in range(400)) == (240, 360)
    boxes = np.array([random_resized_crop_box(1000, 1000, rng, (10, 30)) for _ in range(400)])
    small = boxes[boxes[:, 2] * boxes[:, 3] < 250_000]
    assert 3 * 0.74 < (small[:, 3] / small[:, 2]).min() < 3 * 0.80
    assert 3 * 1.25 < (small[:, 3] / small[:, 2]).max() < 3 * 1.36


@pytest.mark.parametrize("make_box", [multi_scale_crop_box, random_resized_crop_box])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (9, 1), (5, 3), (33, 47), (113, 67)])
def test_boxes_lie_inside(make_box, height, width):
    rng = np.random.default_rng(1)
    for _ in range(200):
        box = make_box(height, width, rng)
        top, left, h, w = box
        assert all(type(side) is int for side in box)
        assert 0 <= top <= top + h <= height
        assert 0 <= left <= left + w <= width
        assert min(h, w) >= 1


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        # Of 100 × 200: a quarter of the area is 5000; square, so √5000 = 70.7 each way.
        ((0.25, 0.0, 29, 129), (29, 129, 71, 71)),
        # 12 % is 2400; width / height 4/3: √(2400·3/4) = 42.4 high, √(2400·4/3) = 56.6 wide.
        ((0.12, math.log(4 / 3), 0, 1), (0, 1, 42, 57)),
        ((0.12, math.log(3 / 4), 0, 1), (0, 1, 57, 42)),
        # The whole area as a square is 141 high and does not fit; the next draw counts.
        ((1.0, 0.0, 0.25, 0.0, 5, 6), (5, 6, 71, 71)),
    ],
)
def test_random_resized_boxes(drawn, expected):
    rng = Drawn(*drawn)
    assert random_resized_crop_box(100, 200, rng) == expected
    assert rng.values == []


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (1000, 10, (493, 0, 13, 10)),  # too narrow for 8 % of the area: 10 wide, 10/(3/4) high, in the middle
        (10, 1000, (0, 493, 10, 13)),  # 10·(4/3) wide
    ],
)
def test_the_central_box_where_none_fits(height, width, expected):
    assert random_resized_crop_box(height, width, np.random.default_rng(0)) == expected


def test_the_central_box_of_a_picture_that_has_the_ratio():
    """With a scale of 1 exactly nothing but a square fits a square, and that ratio is never drawn exactly."""
    assert random_resized_crop_box(400, 400, Drawn(*(1.0, 0.2) * 10), scale=(1.0, 1.0)) == (0, 0, 400, 400)


def test_random_resized_boxes_spread_as_published():
    rng = np.random.default_rng(3)
    boxes = np.array([random_resized_crop_box(1000, 1000, rng) for _ in range(4000)])
    top, left, height, width = boxes.T
    areas, ratios = height * width / 1e6, width / height
    assert 0.079 < areas.min() < 0.085
    assert areas.max() > 0.9
    # Uniform up to where boxes begin not to fit, 0.75 (a ratio of 4/3 fills the width): equal halves up to there.
    assert abs(np.mean(areas[areas < 0.75] < (0.08 + 0.75) / 2) - 0.5) < 0.03
    small = ratios[areas < 0.7]
    assert 0.745 < small.min() < 0.76
    assert 1.32 < small.max() < 1.34
    assert abs(np.mean(small < 1) - 0.5) < 0.03, "log-uniform: as often wide as high"
    # Uniform places: the room is split in the middle on average.
    assert abs(np.mean(top / (1000 - height + 1e-9)) - 0.5) < 0.02
    assert abs(np.mean(left / (1000 - width + 1e-9)) - 0.5) < 0.02


@pytest.mark.parametrize(
    ("height", "width", "size", "crops", "resized", "windows"),
    [
        # 320·224/240 = 298.7; room 75 on the long side.
        (240, 320, 224, 3, (224, 299), [(0, 0), (0, 37), (0, 75)]),
        (240, 320, 224, 1, (224, 299), [(0, 37)]),
        (320, 240, 224, 3, (299, 224), [(0, 0), (37, 0), (75, 0)]),
        (320, 240, 224, 1, (299, 224), [(37, 0)]),
        (100, 100, 224, 3, (224, 224), [(0, 0)] * 3),
        (33, 47, 16, 3, (16, 23), [(0, 0), (0, 3), (0, 7)]),  # 47·16/33 = 22.8
        (1, 3, 8, 3, (8, 24), [(0, 0), (0, 8), (0, 16)]),
        (24, 48, 24, 5, (24, 48), [(0, 0), (0, 6), (0, 12), (0, 18), (0, 24)]),
        # Wider than the picture of 2 : 3: room on its long side; narrower: above and below.
        (24, 48, (16, 24), 3, (16, 32), [(0, 0), (0, 4), (0, 8)]),
        (24, 30, (16, 24), 3, (19, 24), [(0, 0), (1, 0), (3, 0)]),
        (30, 24, (24, 16), 1, (24, 19), [(0, 1)]),
        (20, 30, (16, 24), 3, (16, 24), [(0, 0)] * 3),
    ],
)
def test_views(height, width, size, crops, resized, windows):
    size = (size, size) if isinstance(size, int) else size
    assert view_crops(height, width, size, crops) == tuple(
        Crop((0, 0, height, width), resized, window, size) for window in windows
    )


@pytest.mark.parametrize(
    ("height", "width", "size", "resized", "window"),
    [
        (240, 320, (224, 224), (168, 224), (-28, 0)),  # 240·224/320 = 168; 56 rows of bars
        (320, 240, (224, 224), (224, 168), (0, -28)),
        (33, 47, (16, 16), (11, 16), (-2, 0)),  # 33·16/47 = 11.2; two rows above, three below
        (24, 48, (16, 24), (12, 24), (-2, 0)),
        (24, 30, (16, 24), (16, 20), (0, -2)),
        (20, 30, (16, 24), (16, 24), (0, 0)),
        (1, 200, (8, 8), (1, 8), (-3, 0)),
        (7, 8, (8, 8), (7, 8), (0, 0)),
    ],
)
def test_a_letterbox_shows_all_of_the_picture_between_black_bars(height, width, size, resized, window):
    crops = view_crops(height, width, size, 3, "letterbox")
    assert crops == (Crop((0, 0, height, width), resized, window, size),) * 3
    frame = noise(height, width)[0] | 1
    shown = crop_frame(frame, crops[0])
    top, left = (-start for start in window)
    whole = cv2.resize(frame, resized[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(shown[top : top + resized[0], left : left + resized[1]], whole)
    assert np.count_nonzero(shown) == whole.size, "all else is black"
    assert shown.shape == (*size, 3)


def test_a_stretched_picture_shows_all_and_has_no_bars():
    (crop,) = view_crops(33, 47, (16, 24), 1, "stretch")
    assert crop == Crop((0, 0, 33, 47), (16, 24), (0, 0), (16, 24))
    assert view_crops(33, 47, (16, 24), 2, "stretch") == (crop, crop)


@pytest.mark.parametrize("kind", ["multi_scale", "random_resized", "center"])
@pytest.mark.parametrize(("height", "width"), [(30, 40), (40, 30), (16, 24), (9, 90)])
def test_crops_of_training_become_what_the_whole_video_would(kind, height, width):
    """Bars, and how far a picture is stretched, are those of evaluation; only which part is seen is random."""
    rng, augmentation = np.random.default_rng(0), replace(CENTER, crop=kind)
    for resize in ("letterbox", "stretch"):
        (view,) = view_crops(height, width, (16, 24), 1, resize)
        for _ in range(20):
            crop = draw_crop(augmentation, height, width, (16, 24), rng, resize)
            assert (crop.resized, crop.window, crop.size) == (view.resized, view.window, (16, 24))
            top, left, h, w = crop.box
            assert 0 <= top <= top + h <= height
            assert 0 <= left <= left + w <= width
            assert kind != "multi_scale" or 0.6 < (h / height) / (w / width) < 1.6 or min(h, w) < 12


def test_no_view():
    with pytest.raises(ValueError, match="0 crops of a video"):
        view_crops(10, 10, (8, 8), 0)


def test_a_view_is_cut_from_the_resized_frame():
    clip = noise(33, 47)
    whole = np.stack([cv2.resize(frame, (23, 16), interpolation=cv2.INTER_LINEAR) for frame in clip])
    for crop, left in zip(view_crops(33, 47, (16, 16), 3), (0, 3, 7), strict=True):
        np.testing.assert_array_equal(crop_clip(clip, crop), whole[:, :, left : left + 16])


def test_a_box_is_resized_as_a_whole():
    frame = noise(33, 47)[0]
    expected = cv2.resize(np.ascontiguousarray(frame[3:20, 5:40]), (16, 16), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(crop_frame(frame, crop_of_box((3, 5, 17, 35), (16, 16))), expected)


def test_bilinear_by_hand():
    """From 2 to 4 columns: new centres lie at −¼, ¼, ¾, 1¼ of the old ones; beyond the ends the end itself."""
    row = np.array([0, 100], np.uint8).reshape(1, 2, 1).repeat(3, axis=2).repeat(2, axis=0)
    crop = crop_of_box((0, 0, 2, 2), (4, 4))
    assert crop_frame(row, crop)[0, :, 0].tolist() == [0, 25, 75, 100]


CROPS = [
    crop_of_box((3, 5, 17, 30), (16, 16)),
    crop_of_box((3, 5, 16, 16), (16, 16)),
    crop_of_box((0, 0, 33, 47), (16, 16)),
    *view_crops(33, 47, (16, 16), 3),
    *view_crops(33, 47, (33, 33), 3),
    *view_crops(33, 47, (8, 20), 2),
    *view_crops(33, 47, (16, 16), 1, "letterbox"),
    *view_crops(33, 47, (8, 20), 1, "stretch"),
    crop_of_box((3, 5, 17, 30), (8, 20)),
]


@pytest.mark.parametrize("crop", CROPS, ids=str)
def test_a_flip_mirrors_what_would_be_seen(crop):
    frame = noise(33, 47)[0]
    flipped = flipped_at_random(crop, np.random.default_rng(0), probability=1.0)
    assert flipped.flip
    np.testing.assert_array_equal(crop_frame(frame, flipped), crop_frame(frame, crop)[:, ::-1])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("crop", CROPS, ids=str)
def test_a_cropped_frame_owns_its_memory(crop, flip):
    """A decoder may use a frame's memory again for the next one."""
    frame = noise(33, 47)[0]
    crop = flipped_at_random(crop, np.random.default_rng(0), probability=float(flip))
    cropped = crop_frame(frame, crop)
    before = cropped.copy()
    frame[:] = 0
    np.testing.assert_array_equal(cropped, before)
    assert cropped.shape == (*crop.size, 3)
    assert cropped.dtype == np.uint8
    assert cropped.flags.c_contiguous


def test_the_whole_frame_unchanged_is_a_copy():
    frame = noise(16, 16)[0]
    cropped = crop_frame(frame, crop_of_box((0, 0, 16, 16), (16, 16)))
    np.testing.assert_array_equal(cropped, frame)
    assert not np.shares_memory(cropped, frame)


def test_channels_may_come_in_any_order():
    frame = noise(33, 47)[0]
    reversed_channels = np.ascontiguousarray(frame[..., ::-1])
    for crop in CROPS:
        np.testing.assert_array_equal(crop_frame(reversed_channels, crop)[..., ::-1], crop_frame(frame, crop))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (33, 47)])
def test_a_constant_clip_stays_constant(height, width):
    clip = noise(height, width, frames=1).repeat(3, axis=0)
    rng = np.random.default_rng(2)
    crops = [crop_of_box(random_resized_crop_box(height, width, rng), (8, 8)), *view_crops(height, width, (8, 8), 3)]
    for crop in crops:
        cropped = crop_clip(clip, crop)
        assert cropped.shape == (3, 8, 8, 3)
        assert (cropped == cropped[:1]).all()
        np.testing.assert_array_equal(cropped[1], crop_frame(clip[1], crop))


def test_flips_come_as_often_as_asked():
    crop = crop_of_box((0, 0, 4, 4), (4, 4))
    rng = np.random.default_rng(0)
    assert 440 < sum(flipped_at_random(crop, rng).flip for _ in range(1000)) < 560
    assert not any(flipped_at_random(crop, rng, probability=0.0).flip for _ in range(100))
    assert 60 < sum(flipped_at_random(crop, rng, probability=0.1).flip for _ in range(1000)) < 140
