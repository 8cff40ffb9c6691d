from collections import Counter

import cv2
import numpy as np
import pytest

from mae.data.transforms.rand_augment import (
    FILL,
    OPERATIONS,
    Operation,
    RandAugment,
    apply_operations,
    draw_operations,
    parse_rand_augment,
    rand_augment,
    value_of,
)
from mae.errors import ConfigError

PUBLISHED = "rand-m7-n4-mstd0.5-inc1"


def smooth(height, width, frames=1):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return np.stack([cv2.GaussianBlur(noise, (0, 0), 3)] * frames)


def after(name, value, levels):
    """An operation on a row of grey levels."""
    frame = np.array(levels, np.uint8)[None, None, :, None].repeat(3, axis=3)
    return apply_operations(frame, (Operation(name, value),))[0, 0, :, 0].tolist()


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (PUBLISHED, RandAugment(7, 4, 0.5, True)),
        ("rand-inc1-n4-mstd0.5-m7", RandAugment(7, 4, 0.5, True)),
        ("rand-m9-mstd0.5", RandAugment(9, 2, 0.5, False)),
        ("rand-m0-n1-mstd1-inc0", RandAugment(0, 1, 1.0, False)),
        ("rand", RandAugment(10, 2, 0.0, False)),
    ],
)
def test_descriptions(description, expected):
    assert parse_rand_augment(description) == expected


@pytest.mark.parametrize(
    "description",
    [
        "",
        "augmix-m3",
        "rand-w0",
        "rand-m7-p0.5",
        "rand-m7-mmax10",
        "rand-m11",
        "rand-m-1",
        "rand-m7.5",
        "rand-n0",
        "rand-n2.0",
        "rand-m7-m8",
        "rand-inc2",
        "rand-mstd11",
        "rand-mstdinf",
        "rand-m7-",
        "rand m7",
        "Rand-m7",
    ],
)
def test_descriptions_that_cannot_be_read(description):
    with pytest.raises(ConfigError) as raised:
        parse_rand_augment(description)
    assert repr(description) in str(raised.value)
    assert "m<0-10> n<1 or more> mstd<0-10> inc<0 or 1>" in str(raised.value)
    assert "\n" not in str(raised.value)


# AutoAugment's ranges (arXiv:1805.09501, table 6) in tenths: rotation ±30°, shear ±0.3, translation 0.45 of the
# side, 4 bits, 256 levels, 110 levels, factors 1 ± 0.9. Whole numbers are rounded down before they are subtracted:
# 4 − ⌊2.8⌋ and 256 − ⌊179.2⌋ at 7. Columns: magnitude 0, 5, 7, 10.
INCREASING = {
    "AutoContrast": (0, 0, 0, 0),
    "Equalize": (0, 0, 0, 0),
    "Invert": (0, 0, 0, 0),
    "Rotate": (0, 15, 21, 30),
    "Posterize": (4, 2, 2, 0),
    "Solarize": (256, 128, 77, 0),
    "SolarizeAdd": (0, 55, 77, 110),
    "Color": (1, 1.45, 1.63, 1.9),
    "Contrast": (1, 1.45, 1.63, 1.9),
    "Brightness": (1, 1.45, 1.63, 1.9),
    "Sharpness": (1, 1.45, 1.63, 1.9),
    "ShearX": (0, 0.15, 0.21, 0.3),
    "ShearY": (0, 0.15, 0.21, 0.3),
    "TranslateX": (0, 0.225, 0.315, 0.45),
    "TranslateY": (0, 0.225, 0.315, 0.45),
}
NEGATIVE = {
    **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), (1, 0.55, 0.37, 0.1)),
    "Rotate": (0, -15, -21, -30),
    **dict.fromkeys(("ShearX", "ShearY"), (0, -0.15, -0.21, -0.3)),
    **dict.fromkeys(("TranslateX", "TranslateY"), (0, -0.225, -0.315, -0.45)),
}
PLAIN = {
    "Posterize": (0, 2, 2, 4),
    "Solarize": (0, 128, 179, 256),
    **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), (0.1, 1.0, 1.36, 1.9)),
}
MAGNITUDES = (0, 5, 7, 10)


def values(name, increasing, negative):
    return tuple(value_of(name, magnitude, increasing, negative) for magnitude in MAGNITUDES)


def test_there_are_fifteen_operations():
    assert tuple(INCREASING) == OPERATIONS


@pytest.mark.parametrize("name", INCREASING)
def test_values(name):
    assert values(name, True, False) == pytest.approx(INCREASING[name])
    assert values(name, True, True) == pytest.approx(NEGATIVE.get(name, INCREASING[name]))
    plain = PLAIN.get(name, INCREASING[name])
    assert values(name, False, False) == pytest.approx(plain)
    assert values(name, False, True) == pytest.approx(plain if name in PLAIN else NEGATIVE.get(name, plain))


@pytest.mark.parametrize(
    ("name", "value", "before", "expected"),
    [
        ("Invert", 0, [0, 10, 255], [255, 245, 0]),
        ("Solarize", 128, [0, 100, 127, 128, 200, 255], [0, 100, 127, 127, 55, 0]),
        ("Solarize", 256, [0, 100, 255], [0, 100, 255]),
        ("SolarizeAdd", 110, [0, 100, 127, 128, 200], [110, 210, 237, 128, 200]),
        ("Posterize", 2, [0, 63, 64, 127, 200, 255], [0, 0, 64, 64, 192, 192]),  # the bits of 64 and 128
        ("Posterize", 0, [0, 100, 255], [0, 0, 0]),
        ("Brightness", 0.5, [0, 100, 200], [0, 50, 100]),
        ("Brightness", 1.5, [0, 100, 200], [0, 150, 255]),
        # About the mean, 100.
        ("Contrast", 0.5, [0, 200], [50, 150]),
        ("Contrast", 1.5, [20, 180], [0, 220]),
        # From 50 … 150 to 0 … 255: 2.55 per level.
        ("AutoContrast", 0, [50, 100, 150], [0, 127, 255]),
        ("AutoContrast", 0, [7, 7], [7, 7]),
        # 510 pixels each, the last level apart: steps of ⌊1020/255⌋ = 4 pixels. Below them lie 0, 510 and 1020
        # pixels; with half a step, 2, that makes ⌊2/4⌋, ⌊512/4⌋, ⌊1022/4⌋.
        ("Equalize", 0, [10] * 510 + [11] * 510 + [99] * 510, [0] * 510 + [128] * 510 + [255] * 510),
        ("Color", 0.1, [0, 77, 255], [0, 77, 255]),  # grey has no colour
        # A quarter of 8 pixels: pixel x shows x + 2.
        ("TranslateX", 0.25, [10, 20, 30, 40, 50, 60, 70, 80], [30, 40, 50, 60, 70, 80, 128, 128]),
        ("TranslateX", -0.25, [10, 20, 30, 40, 50, 60, 70, 80], [128, 128, 10, 20, 30, 40, 50, 60]),
    ],
)
def test_operations_by_hand(name, value, before, expected):
    assert after(name, value, before) == expected


def test_color_blends_with_the_grey_of_a_picture():
    """Red has the luma 0.299·255 = 76; half way lie 165 (of 165.5) and 38."""
    red = np.array([255, 0, 0], np.uint8).reshape(1, 1, 1, 3)
    assert apply_operations(red, (Operation("Color", 0.0),)).ravel().tolist() == [76, 76, 76]
    assert apply_operations(red, (Operation("Color", 0.5),)).ravel().tolist() == [165, 38, 38]


def test_sharpness_blends_with_the_smoothed_picture():
    """A point of 130 smoothed with (1 1 1, 1 5 1, 1 1 1)/13 is 50 with 10 around it; 2 is as far beyond 1."""
    point = np.zeros((1, 5, 5, 3), np.uint8)
    point[0, 2, 2] = 130
    blurred = apply_operations(point, (Operation("Sharpness", 0.0),))[0, ..., 0]
    assert blurred[2].tolist() == [0, 10, 50, 10, 0]
    assert blurred[1].tolist() == [0, 10, 10, 10, 0]
    assert blurred[0].tolist() == [0] * 5
    sharpened = apply_operations(point, (Operation("Sharpness", 2.0),))[0, ..., 0]
    assert sharpened[2].tolist() == [0, 0, 210, 0, 0]


def test_translation_and_shear_down():
    column = np.arange(10, 90, 10, dtype=np.uint8).reshape(1, 8, 1, 1).repeat(3, axis=3)
    moved = apply_operations(column, (Operation("TranslateY", 0.25),))
    assert moved.ravel()[::3].tolist() == [30, 40, 50, 60, 70, 80, 128, 128]
    # Centres lie at ½: pixel (x, y) shows row y + ½ + 2(x + ½) − ½ = y + 2x + 1.
    sheared = apply_operations(column.repeat(2, axis=2), (Operation("ShearY", 2.0),))
    assert sheared[0, :, 0, 0].tolist() == [20, 30, 40, 50, 60, 70, 80, 128]
    assert sheared[0, :, 1, 0].tolist() == [40, 50, 60, 70, 80, 128, 128, 128]


def test_shear_sideways():
    rows = np.arange(10, 90, 10, dtype=np.uint8).reshape(1, 1, 8, 1).repeat(3, axis=3).repeat(2, axis=1)
    sheared = apply_operations(rows, (Operation("ShearX", 2.0),))
    assert sheared[0, 0, :, 0].tolist() == [20, 30, 40, 50, 60, 70, 80, 128]
    assert sheared[0, 1, :, 0].tolist() == [40, 50, 60, 70, 80, 128, 128, 128]


def test_rotation_is_that_of_opencv():
    clip = smooth(60, 60)
    rotated = apply_operations(clip, (Operation("Rotate", 21.0),))[0].astype(int)
    matrix = cv2.getRotationMatrix2D((29.5, 29.5), 21.0, 1.0)  # about the middle, counter-clockwise
    expected = cv2.warpAffine(clip[0], matrix, (60, 60), flags=cv2.INTER_LINEAR).astype(int)
    inside = np.s_[15:45, 15:45]
    assert abs(rotated[inside] - expected[inside]).max() <= 2
    assert abs(rotated[inside] - clip[0][inside]).max() > 20
    assert rotated[0, 0].tolist() == list(FILL)


SIZES = [(33, 47), (1, 1), (7, 1), (1, 7), (2, 2)]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_what_every_operation_keeps(name, height, width):
    clip = smooth(height, width, frames=3)
    before = clip.copy()
    for negative in (False, True):
        changed = apply_operations(clip, (Operation(name, value_of(name, 7, True, negative)),))
        assert changed.shape == clip.shape
        assert changed.dtype == np.uint8
        assert changed.flags.c_contiguous
        assert (changed == changed[:1]).all(), "equal frames stay equal"
        assert height * width < 50 or (changed != clip).any()
    np.testing.assert_array_equal(clip, before)


@pytest.mark.parametrize("name", OPERATIONS)
def test_grey_stays_grey(name):
    grey = smooth(33, 47)[..., :1].repeat(3, axis=3)
    changed = apply_operations(grey, (Operation(name, value_of(name, 9, True)),))
    assert (changed == changed[..., :1]).all()


def test_operations_follow_one_another():
    levels = [0, 100, 200]
    assert after("Invert", 0, after("Posterize", 2, levels)) == [255, 191, 63]
    frame = np.array(levels, np.uint8)[None, None, :, None].repeat(3, axis=3)
    both = apply_operations(frame, (Operation("Posterize", 2), Operation("Invert", 0)))
    assert both[0, 0, :, 0].tolist() == [255, 191, 63]


def test_nothing_drawn_changes_nothing():
    clip = smooth(8, 8)
    assert apply_operations(clip, ()) is clip


def test_draws_of_the_published_description():
    spec = parse_rand_augment(PUBLISHED)
    rng = np.random.default_rng(0)
    clips = [draw_operations(spec, rng) for _ in range(3000)]
    # Each of 4 counts with probability ½: 1 4 6 4 1 sixteenths.
    counts = Counter(len(operations) for operations in clips)
    for number, sixteenths in enumerate((1, 4, 6, 4, 1)):
        assert abs(counts[number] / 3000 - sixteenths / 16) < 0.03
    drawn = [operation for operations in clips for operation in operations]
    names = Counter(operation.name for operation in drawn)
    assert set(names) == set(OPERATIONS)
    assert 330 < min(names.values()) <= max(names.values()) < 470, "expected 400 each"
    angles = np.array([operation.value for operation in drawn if operation.name == "Rotate"])
    moves = [operation.value for operation in drawn if operation.name.startswith(("Rot", "Shear", "Translate"))]
    assert abs(np.mean(np.less(moves, 0)) - 0.5) < 0.04
    assert abs(np.mean(abs(angles)) - 21) < 0.3
    assert abs(np.std(abs(angles)) - 1.5) < 0.25  # 0.5 of magnitude, 3° each
    repeated = [operations for operations in clips if len({o.name for o in operations}) < len(operations)]
    assert repeated, "drawn with replacement"


def test_noise_stays_within_the_magnitudes():
    rng = np.random.default_rng(0)
    drawn = [o for _ in range(600) for o in draw_operations(RandAugment(9, 4, 5.0, True), rng)]
    angles = [abs(operation.value) for operation in drawn if operation.name == "Rotate"]
    assert max(angles) == 30
    assert min(angles) == 0
    assert {o.value for o in drawn if o.name == "Posterize"} == {0, 1, 2, 3, 4}
    exact = [o for _ in range(600) for o in draw_operations(RandAugment(9, 4, 0.0, True), rng)]
    assert sorted({o.value for o in exact if o.name == "ShearX"}) == pytest.approx([-0.27, 0.27])


def test_a_clip_is_augmented_alike_and_by_its_generator_alone():
    spec = parse_rand_augment(PUBLISHED)
    clip = smooth(33, 47, frames=4)
    results = [rand_augment(clip, spec, np.random.default_rng(seed)) for seed in range(40)]
    for seed, result in enumerate(results):
        assert result.shape == clip.shape
        assert result.dtype == np.uint8
        assert (result == result[:1]).all()
        np.testing.assert_array_equal(rand_augment(clip, spec, np.random.default_rng(seed)), result)
    assert len({result.tobytes() for result in results}) > 30
