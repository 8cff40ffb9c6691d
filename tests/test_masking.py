import math

import numpy as np
import pytest

from mae.errors import ConfigError
from mae.masking import (
    MASKS,
    clip_mask,
    frame_mask,
    motion_mask,
    num_masked,
    num_predicted,
    running_cell_mask,
    tube_mask,
)
from mae.motion import block_motion
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


def moving_square():
    """Four frames of 8×8 pixels in patches of 2×2: a square goes through the upper row of patches, one a frame.

    In steps of its contrast, the patches of that row move (the first frame compared with the second): 1 1 0 0, 1 1 0 0,
    0 1 1 0, 0 0 1 1. All others stand still.
    """
    clip = np.repeat(np.random.default_rng(0).integers(0, 100, (1, 8, 8, 3), "uint8"), 4, axis=0)
    for frame in range(4):
        clip[frame, :2, 2 * frame : 2 * frame + 2] = clip[frame, :2, 2 * frame : 2 * frame + 2] + 100
    return clip


@pytest.mark.parametrize("seed", range(5))
def test_all_that_moves_is_hidden_or_kept_by_hand(seed):
    clip = moving_square()
    row = np.zeros((2, 4, 4), bool)
    row[:, 0] = True
    # 4 of 16 tubes: the upper row.
    hidden = clip_mask(clip, (2, 2, 2), "tube", 0.25, "hide", 1.0, seed)
    np.testing.assert_array_equal(hidden, row.ravel())
    kept = clip_mask(clip, (2, 2, 2), "tube", 0.75, "keep", 1.0, seed)
    np.testing.assert_array_equal(kept, ~row.ravel())
    # Tokens of one frame: the 8 of 64 that move.
    moving = np.zeros((4, 4, 4), bool)
    moving[:, 0] = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    np.testing.assert_array_equal(clip_mask(clip, (1, 2, 2), "random", 8 / 64, "hide", 1.0, seed), moving.ravel())


def test_time_steps_that_move_are_hidden():
    clip = np.zeros((6, 4, 4, 3), "uint8")
    clip[3:5] = 90  # frames 3 and 5 differ from those before them
    for seed in range(5):
        mask = clip_mask(clip, (1, 2, 2), "frame", 1 / 3, "hide", 1.0, seed).reshape(6, 4)
        assert mask.all(axis=1).tolist() == [False, False, False, True, False, True]


@pytest.mark.parametrize("prefer", ["hide", "keep"])
def test_a_share_follows_motion_and_the_rest_is_drawn_among_all_others(prefer):
    """Half of 8 tubes: the upper row is among them, the other four are anywhere below."""
    motion = block_motion(moving_square(), (2, 2, 2))
    masks = np.stack([
        motion_mask("tube", 0.5, motion, prefer, 0.5, generator(0, "mask", clip)).reshape(2, 4, 4) for clip in range(40)
    ])  # fmt: skip
    assert (masks == masks[:, :1]).all()
    chosen = masks[:, 0] if prefer == "hide" else ~masks[:, 0]
    assert chosen[:, 0].all()
    assert (chosen[:, 1:].sum(axis=(1, 2)) == 4).all()
    counts = chosen[:, 1:].sum(axis=0)  # each of 12 in a third of the clips: 13.3 of 40 on average
    assert counts.min() >= 4
    assert counts.max() <= 24


@pytest.mark.parametrize("kind", ["tube", "random", "frame"])
@pytest.mark.parametrize("prefer", ["hide", "keep"])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_masks_that_follow_motion_hide_as_many_as_others(kind, prefer, share):
    motion = np.random.default_rng(0).random(GRID)
    for ratio in (0.5, 0.75):
        mask = motion_mask(kind, ratio, motion, prefer, share, seed=0)
        assert mask.sum() == num_masked(kind, GRID, ratio)
        assert (mask == motion_mask(kind, ratio, motion, prefer, share, seed=0)).all()


def test_in_a_still_clip_all_places_are_masked_equally_often():
    masks = np.stack([motion_mask("tube", 0.5, np.zeros((1, 2, 2)), "hide", 1.0, seed) for seed in range(200)])
    assert (np.abs(masks.mean(axis=0) - 0.5) < 0.12).all()


def test_without_motion_the_mask_of_a_clip_is_that_of_its_seed():
    for kind in MASKS:
        made = clip_mask(moving_square(), (2, 2, 2), kind, 0.5, seed=3)
        np.testing.assert_array_equal(made, MASKS[kind]((2, 4, 4), 0.5, seed=3)[0])


@pytest.mark.parametrize(
    ("kind", "prefer", "share", "message"),
    [
        ("block", "hide", 0.5, "masking=block draws boxes wherever they are: mask_motion=hide takes tube, random or"),
        ("tube", "hid", 0.5, "mask_motion 'hid' does not exist; did you mean 'hide'"),
        ("tube", "keep", 0.0, r"mask_motion_share=0.0 must lie in \(0, 1\]"),
    ],
)
def test_masks_that_cannot_follow_motion_are_refused(kind, prefer, share, message):
    with pytest.raises(ConfigError, match=message):
        motion_mask(kind, 0.5, np.zeros((2, 4, 4)), prefer, share)
