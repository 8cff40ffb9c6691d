import math

import numpy as np
import pytest

from mae.errors import ConfigError
from mae.masking import MASKS, frame_mask, num_masked, tube_mask
from mae.seeds import generator

GRID = (8, 14, 14)


@pytest.mark.parametrize(
    ("kind", "grid", "ratio", "expected"),
    [
        ("tube", (8, 14, 14), 0.9, 8 * 176),  # 160 tokens stay visible
        ("tube", (8, 14, 14), 0.75, 8 * 147),
        ("tube", (8, 8, 8), 0.75, 8 * 48),
        ("tube", (2, 10, 10), 0.29, 2 * 29),  # 0.29 · 100 is 28.999… in floating point
        ("random", (8, 14, 14), 0.9, 1411),
        ("frame", (8, 14, 14), 0.9, 7 * 196),
        ("block", (8, 14, 14), 0.9, 1411),
    ],
)
def test_counts_are_exact_in_every_example(kind, grid, ratio, expected):
    assert num_masked(kind, grid, ratio) == expected
    mask = MASKS[kind](grid, ratio, batch_size=5, seed=3)
    assert mask.shape == (5, math.prod(grid))
    assert mask.dtype == bool
    assert mask.sum(axis=1).tolist() == [expected] * 5


def test_tube_is_constant_over_time_and_differs_between_examples():
    mask = tube_mask(GRID, 0.9, batch_size=3, seed=0).reshape(3, 8, 196)
    assert (mask == mask[:, :1]).all()
    assert mask[0, 0].sum() == 176
    assert (mask[0] != mask[1]).any()


def test_frame_masks_whole_time_steps():
    mask = frame_mask(GRID, 0.5, batch_size=2, seed=0).reshape(2, 8, 196)
    assert (mask == mask[:, :, :1]).all()


def test_block_masks_are_more_contiguous_than_random_ones():
    def share_of_equal_neighbours(kind):
        mask = MASKS[kind](GRID, 0.5, batch_size=8, seed=0).reshape(8, *GRID)
        return (mask[..., 1:] == mask[..., :-1]).mean()

    assert share_of_equal_neighbours("random") < 0.55
    assert share_of_equal_neighbours("block") > 0.8


@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_is_a_function_of_its_seed(kind):
    def mask(*counters):
        return MASKS[kind](GRID, 0.5, seed=generator(7, "mask", *counters))

    assert (mask(2, 11) == mask(2, 11)).all()
    assert (mask(2, 11) != mask(2, 12)).any()
    assert (mask(2, 11) != mask(3, 11)).any()


@pytest.mark.parametrize("kind", ["tube", "random"])
def test_every_token_is_masked_equally_often(kind):
    often = MASKS[kind]((2, 4, 4), 0.75, batch_size=4000, seed=0).mean(axis=0)
    assert np.abs(often - 0.75).max() < 0.04  # five standard deviations


@pytest.mark.parametrize("ratio", [0, 1, -0.5, 1.5, 0.001])
def test_ratios_that_leave_nothing_masked_or_visible_are_refused(ratio):
    with pytest.raises(ConfigError, match=f"mask_ratio={ratio}"):
        tube_mask((8, 14, 14), ratio)


def test_unknown_kind_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'tube'"):
        num_masked("tubes", GRID, 0.9)
