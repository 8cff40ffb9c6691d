import colorsys
from collections import Counter

import numpy as np
import pytest

from mae.data.transforms.color_jitter import ColorJitter, adjust_colors, color_jitter, draw_adjustments
from mae.errors import ConfigError

NAMES = ("brightness", "contrast", "saturation", "hue")


def noise(height, width, frames=2):
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8).repeat(frames, axis=0)


def pixel(*levels):
    return np.array(levels, np.uint8).reshape(1, 1, -1, 3)


@pytest.mark.parametrize(
    ("name", "factor", "before", "expected"),
    [
        ("brightness", 0.0, (10, 20, 30), (0, 0, 0)),
        ("brightness", 1.5, (10, 100, 200), (15, 150, 255)),
        # Mean grey of black and white: 127.5, which counts as 128; half way to it.
        ("contrast", 0.5, (0, 0, 0, 255, 255, 255), (64, 64, 64, 191, 191, 191)),
        ("contrast", 0.0, (0, 0, 0, 200, 200, 200), (100,) * 6),
        # Luma of red: 0.299·255 = 76.
        ("saturation", 0.0, (255, 0, 0), (76, 76, 76)),
        ("saturation", 2.0, (100, 100, 100), (100, 100, 100)),
        ("hue", 1 / 3, (255, 0, 0), (0, 255, 0)),
        ("hue", -1 / 3, (255, 0, 0), (0, 0, 255)),
        ("hue", 0.5, (200, 100, 100), (100, 200, 200)),
        ("hue", 0.3, (90, 90, 90), (90, 90, 90)),
    ],
)
def test_adjustments_by_hand(name, factor, before, expected):
    assert adjust_colors(pixel(*before), ((name, factor),)).ravel().tolist() == list(expected)


@pytest.mark.parametrize("turns", [-0.5, -0.13, 0.0, 0.08, 0.41])
def test_hue_is_that_of_the_standard_library(turns):
    clip = noise(9, 11, frames=1)
    turned = adjust_colors(clip, (("hue", turns),)).reshape(-1, 3)
    for before, after in zip(clip.reshape(-1, 3) / 255, turned.astype(int), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        expected = 255 * np.array(colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value))
        assert abs(after - expected).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(33, 47), (1, 1), (5, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_what_every_adjustment_keeps(name, height, width):
    clip = noise(height, width, frames=3)
    before = clip.copy()
    changed = adjust_colors(clip, ((name, 0.4),))
    assert changed.shape == clip.shape
    assert changed.dtype == np.uint8
    assert changed.flags.c_contiguous
    assert (changed == changed[:1]).all()
    np.testing.assert_array_equal(clip, before)
    neutral = adjust_colors(clip, ((name, 0.0 if name == "hue" else 1.0),))
    np.testing.assert_array_equal(neutral, clip)


def test_draws():
    rng = np.random.default_rng(0)
    draws = [draw_adjustments(ColorJitter(0.4, 0.2, 1.5, 0.1), rng) for _ in range(1000)]
    limits = {"brightness": (0.6, 1.4), "contrast": (0.8, 1.2), "saturation": (0.0, 2.5), "hue": (-0.1, 0.1)}
    for name, (low, high) in limits.items():
        drawn = np.array([dict(draw)[name] for draw in draws])
        margin = 0.02 * (high - low)
        assert low <= drawn.min() < low + margin
        assert high - margin < drawn.max() <= high
        assert abs(drawn.mean() - (low + high) / 2) < 2 * margin
    orders = Counter(tuple(name for name, _ in draw) for draw in draws)
    assert len(orders) == 24
    assert min(orders.values()) > 18, "expected about 42 of each order"


def test_what_is_zero_is_left_alone():
    rng = np.random.default_rng(0)
    assert {name for name, _ in draw_adjustments(ColorJitter(contrast=0.3, hue=0.1), rng)} == {"contrast", "hue"}
    clip = noise(8, 8)
    assert color_jitter(clip, ColorJitter(), rng) is clip


def test_a_clip_changes_alike_and_by_its_generator_alone():
    clip = noise(33, 47, frames=3)
    jitter = ColorJitter(0.4, 0.4, 0.4, 0.1)
    results = [color_jitter(clip, jitter, np.random.default_rng(seed)) for seed in range(10)]
    for seed, result in enumerate(results):
        assert (result == result[:1]).all()
        np.testing.assert_array_equal(color_jitter(clip, jitter, np.random.default_rng(seed)), result)
    assert len({result.tobytes() for result in results}) == 10


def test_what_is_refused():
    with pytest.raises(ConfigError, match=r"colour jitter: contrast=-0\.1 must be at least 0"):
        ColorJitter(contrast=-0.1)
    with pytest.raises(ConfigError, match=r"hue=0\.6 must be at least 0 and at most 0\.5"):
        ColorJitter(hue=0.6)
