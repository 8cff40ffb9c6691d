"""Differences of blocks, worked out by hand."""

import numpy as np
from keras import ops

from mae.motion import block_motion
from mae.targets import patch_motion


def test_a_square_that_moves_by_hand():
    """Four frames of 2×4 pixels, patches of 2×2: a square of 200 goes from the left to the right after two frames."""
    clip = np.full((4, 2, 4, 3), 50, "uint8")
    clip[:2, :, :2] = clip[2:, :, 2:] = 200
    # Only the third frame differs from the one before it: in tubelets of two frames it is half of the second.
    assert block_motion(clip, (1, 2, 2)).tolist() == [[[0, 0]], [[0, 0]], [[150, 150]], [[0, 0]]]
    assert block_motion(clip, (2, 2, 2)).tolist() == [[[0, 0]], [[75, 75]]]
    # The first frame is compared with the second.
    clip[0] = 0
    assert block_motion(clip, (1, 2, 2))[:2].tolist() == [[[200, 50]], [[200, 50]]]


def test_it_is_what_the_loss_is_weighted_by():
    clip = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), "uint8")
    by_model = patch_motion(clip[None], np.arange(2 * 2 * 4, dtype="int32")[None], (2, 3, 2))
    np.testing.assert_allclose(
        block_motion(clip, (2, 3, 2)).ravel() / 255, ops.convert_to_numpy(by_model)[0], rtol=1e-5
    )
