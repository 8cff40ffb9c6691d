import math

import numpy as np
import pytest

from mae.errors import ConfigError
from mae.masking import MASKS, frame_mask, num_masked, num_predicted, running_cell_mask, tube_mask
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


def cells(ratio, start_of_seed, steps=5):
    """One 2×2 cell, True (1) where masked, as rows of digits per time step."""
    for seed in range(100):
        mask = running_cell_mask((steps, 2, 2), ratio, seed=seed).reshape(steps, 4)
        if mask[0].astype(int).tolist() == start_of_seed:
            return ["".join(str(int(x)) for x in step) for step in mask]
    raise AssertionError(f"no seed starts with {start_of_seed}")


@pytest.mark.parametrize(
    ("ratio", "start", "expected"),
    [
        # The four digits are the cell's top left, top right, bottom left, bottom right.
        (0.5, [1, 1, 0, 0], ["1100", "0110", "0011", "1001", "1100"]),
        (0.5, [1, 0, 0, 1], ["1001", "1100", "0110", "0011", "1001"]),
        (0.25, [0, 0, 1, 0], ["0010", "0001", "1000", "0100", "0010"]),
        (0.75, [1, 1, 1, 0], ["1110", "0111", "1011", "1101", "1110"]),
    ],
)
def test_the_running_cell_advances_one_place_a_time_step(ratio, start, expected):
    assert cells(ratio, start) == expected


def test_all_cells_of_a_clip_run_alike_and_starts_differ_between_clips():
    mask = running_cell_mask((8, 14, 14), 0.5, batch_size=40, seed=0).reshape(40, 8, 7, 2, 7, 2)
    assert (mask == mask[:, :, :1, :, :1]).all()
    first_steps = {tuple(m[0, 0, :, 0].ravel().astype(int).tolist()) for m in mask}
    assert first_steps == {(1, 1, 0, 0), (0, 1, 1, 0), (0, 0, 1, 1), (1, 0, 0, 1)}
    assert (mask.mean(axis=1) == 0.5).all()  # eight time steps are two rounds


def test_cells_are_cut_off_at_an_odd_side():
    whole = running_cell_mask((4, 4, 4), 0.5, batch_size=3, seed=1).reshape(3, 4, 4, 4)
    cut = running_cell_mask((4, 3, 3), 0.5, batch_size=3, seed=1).reshape(3, 4, 3, 3)
    assert (cut == whole[:, :, :3, :3]).all()


@pytest.mark.parametrize("ratio", [0.4, 0.9, 1.0, -0.25])
def test_only_quarters_of_a_cell_can_be_masked(ratio):
    with pytest.raises(ConfigError, match=f"decoder_mask_ratio={ratio}"):
        running_cell_mask((8, 14, 14), ratio)


@pytest.mark.parametrize(
    ("kind", "grid", "ratio", "decoder_ratio", "expected"),
    [
        ("tube", (8, 14, 14), 0.9, 0.0, (1408, True)),
        ("tube", (8, 14, 14), 0.9, 0.5, (704, True)),  # of every tube four of eight tokens
        ("tube", (8, 14, 14), 0.9, 0.25, (1056, True)),
        ("tube", (8, 14, 14), 0.9, 0.75, (352, True)),
        # In six time steps a quarter of the 16 tubes is predicted four times, half three times, a quarter twice.
        ("tube", (6, 4, 4), 0.75, 0.5, (40, False)),
        ("frame", (8, 14, 14), 0.5, 0.5, (392, True)),
        ("random", (8, 14, 14), 0.9, 0.5, (784, False)),  # half of the grid at most
        ("random", (8, 14, 14), 0.25, 0.5, (392, False)),  # all that is masked at most
    ],
)
def test_how_many_tokens_the_decoder_predicts(kind, grid, ratio, decoder_ratio, expected):
    assert num_predicted(kind, grid, ratio, decoder_ratio) == expected


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("grid", [(8, 6, 6), (6, 5, 7), (2, 4, 4)])
def test_no_clip_has_more_than_is_said_and_all_have_it_where_that_is_said(kind, grid):
    for ratio in (0.25, 0.5, 0.75):
        most, always = num_predicted(kind, grid, 0.6, ratio)
        is_masked = MASKS[kind](grid, 0.6, batch_size=200, seed=0)
        counts = (is_masked & ~running_cell_mask(grid, ratio, 200, seed=1)).sum(axis=1)
        assert counts.max() <= most
        assert not always or counts.min() == most
