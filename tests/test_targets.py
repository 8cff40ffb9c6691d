"""Targets that compare frames, and the weights of patches, worked out by hand."""

import numpy as np
import pytest
from keras import ops

from mae.errors import ConfigError
from mae.options import TARGET_SCALES
from mae.patches import normalised_target, patchify
from mae.target_config import Target
from mae.targets import added_to_neighbours, differences, expected_patches, motion_weights, patch_motion

TUBELET = (2, 1, 1)
ALL = np.array([[0, 1, 2, 3]], "int32")

# Four frames of 1×2 pixels of one channel in tubelets of two frames: the left pixel moves, the right one does not.
# Minus the frame before, the first minus the second: left -0.2, 0.2, -0.4, 0.4, the mean of whose squares is 0.1.
CLIP = np.array([[0.2, 0.5], [0.4, 0.5], [0.0, 0.5], [0.4, 0.5]], "float32").reshape(1, 4, 1, 2, 1)
LEFT, RIGHT = [-0.2, 0.2, -0.4, 0.4], [0, 0, 0, 0]


def made(target, pixels=CLIP, indices=ALL, tubelet=TUBELET):
    return ops.convert_to_numpy(expected_patches(pixels, indices, target, tubelet))


def test_a_difference_is_to_the_frame_before_also_of_another_tubelet_and_the_first_to_the_next():
    found = ops.convert_to_numpy(differences(CLIP))
    np.testing.assert_allclose(found[0, :, 0, 0, 0], LEFT, atol=1e-7)
    np.testing.assert_array_equal(found[0, :, 0, 1, 0], RIGHT)


# Tokens in order: left and right of the first two frames, left and right of the last two.
# Over the clip: the mean of the squares is (2·0.04 + 2·0.16) / 8 = 0.05. Over the patches of the left: 0.04 (less than
# the clip's, which is taken instead) and 0.16.
@pytest.mark.parametrize(
    ("scale", "first", "second"), [("none", 1, 1), ("clip", 0.05**0.5, 0.05**0.5), ("patch", 0.05**0.5, 0.4)]
)
def test_differences_are_divided_by_their_size(scale, first, second):
    expected = [[-0.2 / first, 0.2 / first], [0, 0], [-0.4 / second, 0.4 / second], [0, 0]]
    found = made(Target("difference", scale))
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-7)
    assert found.dtype == "float32"


def test_pixels_beside_differences():
    """A quarter pixels: the mean of the clip is (1.0 + 2.0) / 8 = 0.375; the right ones are 0.125 above it."""
    left = 0.75 * np.array(LEFT) + 0.25 * (CLIP[0, :, 0, 0, 0] - 0.375)
    found = made(Target("difference", "none", pixels=0.25))
    np.testing.assert_allclose(found[0, [0, 2]].ravel(), left, atol=1e-6)
    np.testing.assert_allclose(found[0, [1, 3]], 0.25 * 0.125, atol=1e-6)


@pytest.mark.parametrize("scale", TARGET_SCALES)
def test_a_still_clip_of_any_texture_is_zero(scale):
    still = np.repeat(np.random.default_rng(0).integers(0, 256, (2, 1, 4, 4, 3), "uint8"), 4, axis=1)
    indices = np.tile(np.arange(8, dtype="int32"), (2, 1))
    assert not made(Target("difference", scale), still, indices, (2, 2, 2)).any()


def test_what_stands_still_in_a_clip_is_zero_and_a_clip_counts_alike_whatever_its_contrast():
    clip = np.random.default_rng(0).random((1, 4, 4, 4, 3)).astype("float32")
    clip[:, :, :, 2:] = clip[:, :1, :, 2:]
    indices = np.arange(8, dtype="int32")[None]
    found = made(Target("difference"), clip, indices, (2, 2, 2))
    assert not found[0, 1::2].any()
    assert np.mean(np.square(found)) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(made(Target("difference"), clip / 4, indices, (2, 2, 2)), found, rtol=1e-4, atol=1e-6)


def test_bytes_are_as_the_same_floats():
    whole = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 4, 3), "uint8")
    indices = np.array([[0, 5, 7], [1, 2, 3]], "int32")
    target = Target("difference", pixels=0.5)
    floats = (whole / 255).astype("float32")
    np.testing.assert_allclose(
        made(target, whole, indices, (2, 2, 2)), made(target, floats, indices, (2, 2, 2)), atol=1e-5
    )


@pytest.mark.parametrize("share", [0, 0.25, 0.5])
@pytest.mark.parametrize("scale", TARGET_SCALES)
def test_added_to_the_frame_before_they_are_the_video(scale, share):
    clip = np.random.default_rng(0).random((2, 4, 4, 4, 3)).astype("float32")
    indices = np.array([[0, 5, 7], [1, 2, 3]], "int32")
    target = Target("difference", scale, share)
    restored = added_to_neighbours(made(target, clip, indices, (2, 2, 2)), clip, indices, target, (2, 2, 2))
    expected = np.take_along_axis(patchify(clip, (2, 2, 2)), indices[..., None], axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(restored), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["videomae", "mae_st", "pixels"])
def test_published_targets_are_what_they_were(name):
    clip = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 4, 3), "uint8")
    indices = np.array([[0, 5, 7], [1, 2, 3]], "int32")
    patches = np.take_along_axis(patchify(clip, (2, 2, 2)), indices[..., None], axis=1)
    expected = ops.convert_to_numpy(normalised_target(patches, name, 3, 2))
    np.testing.assert_array_equal(made(Target(name), clip, indices, (2, 2, 2)), expected)


def test_weights_follow_motion_by_hand():
    """The left pixel moves by 0.2 on average in the first patch and by 0.4 in the second; a step of uint8 is added."""
    np.testing.assert_allclose(patch_motion(CLIP, ALL, TUBELET)[0], [0.2, 0, 0.4, 0], atol=1e-7)
    raw = np.array([0.2, 0, 0.4, 0]) + 1 / 255
    np.testing.assert_allclose(motion_weights(CLIP, ALL, tubelet=TUBELET)[0], raw / raw.mean(), rtol=1e-5)
    still = np.repeat(CLIP[:, :1], 4, axis=1)
    np.testing.assert_allclose(motion_weights(still, ALL, tubelet=TUBELET)[0], 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "videomae"),
        ({"name": "difference"}, "difference, scaled by clip"),
        ({"name": "difference", "scale": "none", "pixels": 0.25}, "difference and pixels 0.25, unscaled"),
        ({"weight": "motion"}, "videomae, weighted by motion"),
    ],
)
def test_a_target_says_what_it_is(given, told):
    assert str(Target(**given)) == told


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "diference"}, "did you mean 'difference'"),
        ({"name": "difference", "scale": "clips"}, "target_scale 'clips' does not exist; did you mean 'clip'"),
        ({"name": "difference", "pixels": 1.0}, r"target_pixels=1.0 must lie in \[0, 1\); target=pixels"),
        ({"weight": "motions"}, "loss_weight 'motions' does not exist; did you mean 'motion'"),
    ],
)
def test_mistakes_are_named(given, message):
    with pytest.raises(ConfigError, match=message):
        Target(**given)


@pytest.mark.parametrize("target", [Target("difference"), Target("pixels", weight="motion")])
def test_one_frame_cannot_be_compared(target):
    with pytest.raises(ConfigError, match="compares frames, and num_frames=1: give 2 or more"):
        target.check_frames(1)
