import math

import numpy as np
import pytest
from drawn_numbers import Drawn

from mae.data.transforms.random_erasing import draw_block, random_erasing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def erase(clip, rng, probability=1.0):
    return random_erasing(clip, rng, MEAN, STD, probability)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ((0.25, 0.0, 29, 129), (29, 129, 71, 71)),  # a quarter of 100 × 200 is 5000 = 70.7²
        ((0.04, math.log(2), 60, 180), (60, 180, 40, 20)),  # 800 as 40 × 20
        ((0.04, math.log(0.5), 80, 160), (80, 160, 20, 40)),
        # 6000 as 135 × 45 is higher than the picture; the next draw counts.
        ((0.3, math.log(3), 0.04, math.log(2), 0, 0), (0, 0, 40, 20)),
    ],
)
def test_blocks_by_hand(drawn, expected):
    rng = Drawn(*drawn)
    assert draw_block(100, 200, rng) == expected
    assert rng.values == []


def test_blocks_spread_as_published():
    rng = np.random.default_rng(0)
    top, left, height, width = np.array([draw_block(300, 300, rng) for _ in range(4000)]).T
    areas, ratios = height * width / 300**2, height / width
    assert 0.0195 < areas.min() < 0.022
    assert 0.32 < areas.max() < 0.337
    assert abs(areas.mean() - (0.02 + 1 / 3) / 2) < 0.01
    assert 0.29 < ratios.min() < 0.32
    assert 3.1 < ratios.max() < 3.45
    assert abs(np.mean(ratios > 1) - 0.5) < 0.03
    assert height.max() < 300
    assert (top + height <= 300).all()
    assert (left + width <= 300).all()
    assert (top + height == 300).any()
    assert (left == 0).any()
    assert abs(np.mean(top / (300 - height)) - 0.5) < 0.02


def test_the_block_holds_normalised_noise_and_nothing_else_changes():
    clip = np.random.default_rng(1).integers(0, 256, (3, 120, 160, 3), np.uint8)
    before = clip.copy()
    erased = erase(clip, np.random.default_rng(2))
    np.testing.assert_array_equal(clip, before)
    assert erased.shape == clip.shape
    assert erased.dtype == np.uint8
    assert erased.flags.c_contiguous
    changed = (erased != clip).any(axis=(0, 3))
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    block = erased[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert 0.02 <= block[0].size / clip[0].size <= 0.34
    assert changed.sum() > 0.99 * block[0, ..., 0].size, "the block is a rectangle"
    assert (block == block[:1]).all(), "the same noise on every frame"
    levels = (block[0] / 255 - MEAN) / STD
    assert abs(levels.mean(axis=(0, 1))).max() < 0.12
    assert abs(levels.std(axis=(0, 1)) - 1).max() < 0.1
    assert abs(np.corrcoef(levels.reshape(-1, 3).T) - np.eye(3)).max() < 0.1, "each channel its own noise"
    assert abs(np.corrcoef(levels[:, :-1].ravel(), levels[:, 1:].ravel())[0, 1]) < 0.1, "each pixel its own"


def test_how_often():
    clip = np.zeros((1, 8, 8, 3), np.uint8)
    rng = np.random.default_rng(0)
    erased = sum(random_erasing(clip, rng, MEAN, STD) is not clip for _ in range(2000))
    assert 440 < erased < 560
    assert all(erase(clip, rng, probability=0.0) is clip for _ in range(20))


@pytest.mark.parametrize(("height", "width"), [(33, 47), (5, 1), (1, 1), (3, 3)])
def test_any_size(height, width):
    clip = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8).repeat(2, axis=0)
    for seed in range(30):
        erased = erase(clip, np.random.default_rng(seed))
        assert erased.shape == clip.shape
        assert (erased == erased[:1]).all()
        np.testing.assert_array_equal(erase(clip, np.random.default_rng(seed)), erased)
        if min(height, width) == 1:
            assert erased is clip, "no block is smaller than one pixel"
