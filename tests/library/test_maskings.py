"""Masks of a batch: a function of seed, step and row, as many tokens as asked for."""

import numpy as np
import pytest

from mae.errors import ConfigError
from mae.library.maskings import BlockMasking, FrameMasking, RandomMasking, RunningCellMasking, TubeMasking
from mae.masking import MASKS, clip_mask, num_masked
from mae.seeds import generator

KINDS = {"tube": TubeMasking, "random": RandomMasking, "frame": FrameMasking, "block": BlockMasking}
TUBELET = (1, 4, 4)
GRID = (4, 3, 3)
CLIPS = np.random.default_rng(0).integers(0, 256, (3, 4, 12, 12, 3), "uint8")


def test_every_kind_has_its_collator():
    assert KINDS.keys() == MASKS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_masks(kind):
    masking = KINDS[kind](0.5, TUBELET, seed=5)
    clips, masks = masking(CLIPS, 7)
    assert clips is CLIPS
    assert (masks.shape, masks.dtype) == ((3, 36), bool)
    assert set(masks.sum(axis=1)) == {num_masked(kind, GRID, 0.5)}
    by_hand = clip_mask(CLIPS[2], TUBELET, kind, 0.5, seed=generator(5, "mask", 7, 2))
    np.testing.assert_array_equal(masks[2], by_hand)
    np.testing.assert_array_equal(masking(CLIPS[:1], 7)[1], masks[:1])
    assert (masking(CLIPS, 8)[1] != masks).any()
    assert (KINDS[kind](0.5, TUBELET, seed=6)(CLIPS, 7)[1] != masks).any()


def test_what_moves_most_is_hidden():
    clips = np.zeros((1, 4, 12, 12, 3), "uint8")
    clips[0, ::2, 4:8, 8:12] = 255
    _, masks = TubeMasking(0.2, TUBELET, motion="hide", motion_share=1.0)(clips, 0)
    assert np.flatnonzero(masks.reshape(4, 9)[0]).tolist() == [5]


def test_masks_of_the_decoder():
    _, masks = RunningCellMasking(0.5, TUBELET, seed=5)(CLIPS, 7)
    assert masks.shape == (3, 36)
    np.testing.assert_array_equal(RunningCellMasking(0.5, TUBELET, seed=5)(CLIPS[:2], 7)[1], masks[:2])


@pytest.mark.parametrize(
    ("make", "clips", "told"),
    [
        (lambda: TubeMasking(0.5), CLIPS, r"shape \(3, 4, 12, 12, 3\) cannot be cut into tubelets of \(2, 16, 16\)"),
        (lambda: TubeMasking(0.5, TUBELET), CLIPS[0], r"expected \(b, T, H, W, c\)"),
        (lambda: TubeMasking(1.5, TUBELET), CLIPS, r"mask_ratio=1.5 must lie between 0 and 1"),
        (lambda: TubeMasking(0.5, TUBELET, motion="hid"), CLIPS, "did you mean 'hide'"),
        (lambda: BlockMasking(0.5, TUBELET, motion="hide"), CLIPS, "block draws boxes wherever they are"),
        (lambda: TubeMasking(0.5, TUBELET, motion="hide"), CLIPS / 255, "compares uint8 pixels, got clips of float64"),
        (lambda: RunningCellMasking(0.4, TUBELET), CLIPS, "0.25, 0.5 or 0.75"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(make, clips, told):
    with pytest.raises((ConfigError, ValueError), match=told):
        make()(clips, 0)
