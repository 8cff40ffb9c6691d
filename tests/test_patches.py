import numpy as np
import pytest
from keras import ops

from mae.errors import ConfigError
from mae.options import PATCH_TARGETS
from mae.patches import (
    gather_patches,
    group_values,
    normalise,
    normalised_target,
    patch_statistics,
    patchify,
    unnormalise,
    unnormalised_prediction,
    unpatchify,
)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_patches_go_back_to_the_video(channels):
    video = np.random.default_rng(0).random((2, 4, 6, 8, channels))
    patches = patchify(video, (2, 3, 4))
    assert patches.shape == (2, 2 * 2 * 2, 2 * 3 * 4 * channels)
    np.testing.assert_array_equal(unpatchify(patches, (2, 2, 2), (2, 3, 4)), video)


def test_order_of_tokens_and_of_values_in_a_patch():
    t, y, x, c = np.meshgrid(range(4), range(4), range(4), range(2), indexing="ij")
    video = (1000 * t + 100 * y + 10 * x + c)[None]
    patches = patchify(video, (2, 2, 2))
    # Token (t, h, w) = (1, 0, 1) is number 1·2·2 + 0·2 + 1 = 5; its first frame is 2, its columns 2 and 3.
    assert patches[0, 5].tolist() == [
        2020, 2021, 2030, 2031, 2120, 2121, 2130, 2131,
        3020, 3021, 3030, 3031, 3120, 3121, 3130, 3131,
    ]  # fmt: skip


def test_normalising_is_undone():
    pixels = np.random.default_rng(0).random((2, 5, 3)).astype("float32")
    there = normalise(ops.convert_to_tensor(pixels), 3)
    np.testing.assert_allclose(there[0, 0], (pixels[0, 0] - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], rtol=1e-5)
    np.testing.assert_allclose(unnormalise(there, 3), pixels, atol=1e-6)


def test_videomae_target_of_a_patch_worked_out_by_hand():
    # One patch of 1 frame, 2×2 pixels, 2 channels; channel 0 holds 0, 2, 4, 6 (mean 3, unbiased variance 20/3),
    # channel 1 is constant.
    patch = np.array([[[0, 5, 2, 5, 4, 5, 6, 5]]], "float32")
    target = ops.convert_to_numpy(normalised_target(patch, "videomae", 2, 1))
    std = np.sqrt(20 / 3)
    np.testing.assert_allclose(target[0, 0, 0::2], np.array([-3, -1, 1, 3]) / (std + 1e-6), rtol=1e-6)
    np.testing.assert_allclose(target[0, 0, 1::2], 0, atol=1e-6)


@pytest.mark.parametrize("target", PATCH_TARGETS)
def test_a_target_is_undone_by_its_statistics(target):
    pixels = np.random.default_rng(0).random((2, 3, 2 * 4 * 4 * 3)).astype("float32")
    mean, std = patch_statistics(group_values(pixels, target, 3, 2))
    restored = unnormalised_prediction(normalised_target(pixels, target, 3, 2), target, mean, std, 2)
    np.testing.assert_allclose(restored, pixels, atol=1e-5)


def test_targets_are_float32_whatever_comes_in():
    pixels = ops.cast(np.random.default_rng(0).random((1, 2, 24)), "bfloat16")
    assert normalised_target(pixels, "videomae", 3, 2).dtype == "float32"


def test_a_constant_patch_has_a_finite_target():
    assert np.abs(normalised_target(np.full((1, 1, 24), 0.3, "float32"), "videomae", 3, 2)).max() < 0.1


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="did you mean 'pixels'"):
        normalised_target(np.zeros((1, 1, 24)), "pixel", 3, 2)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_gathered_patches_are_rows_of_all_patches(dtype):
    videos = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 8, 3)).astype(dtype)
    indices = np.array([[0, 3, 11], [7, 7, 2]], "int32")  # of a grid of 2·2·3 … any order, repeated
    gathered = ops.convert_to_numpy(gather_patches(ops.convert_to_tensor(videos), indices, (2, 3, 2)))
    assert gathered.dtype == dtype
    np.testing.assert_array_equal(gathered, np.take_along_axis(patchify(videos, (2, 3, 2)), indices[..., None], axis=1))
