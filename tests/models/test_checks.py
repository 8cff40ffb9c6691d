"""Wrong inputs are refused before anything is computed, with what came and what the model expects."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tiny import GRID, SIZES, masks, pixels, tiny_pretrainer, videos

from mae.evaluation.features import encode, pool
from mae.masking import block_mask, frame_mask, random_mask, running_cell_mask, tube_mask
from mae.models.classifier import build_classifier
from mae.models.pretrainer import clip_losses, pretraining_loss
from mae.models.tokens import gather_tokens, predicted_indices, split_indices
from mae.patches import (
    gather_patches,
    normalise,
    normalise_patches,
    normalised_target,
    patchify,
    unnormalise,
    unpatchify,
)

PRETRAINER = tiny_pretrainer()
CLASSIFIER = build_classifier("vit_tiny", num_classes=5, init_scale=1.0, **SIZES)
WHOLE = np.random.default_rng(0).integers(0, 256, (2, 4, 16, 16, 3), "uint8")
VISIBLE, MASKED = (np.asarray(indices) for indices in split_indices(masks()))
TUBELET = (2, 4, 4)

OF_VIDEOS = {
    "pretrainer": lambda x: PRETRAINER(x, masks()),
    "pretraining_loss": lambda x: pretraining_loss(PRETRAINER, x, masks(), target="pixels"),
    "clip_losses": lambda x: clip_losses(PRETRAINER, x, VISIBLE, MASKED),
    "classifier": lambda x: CLASSIFIER(x),
    "features of a pretrainer": lambda x: encode(PRETRAINER, x),
    "features of a classifier": lambda x: encode(CLASSIFIER, x),
}
OF_MASKS = {
    "pretrainer": lambda mask: PRETRAINER(videos(), mask),
    "pretraining_loss": lambda mask: pretraining_loss(PRETRAINER, videos(), mask),
    "for the decoder": lambda mask: pretraining_loss(PRETRAINER, videos(), masks(), is_decoder_masked=mask),
}


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


def refused(function, argument, *parts):
    """That `function` raises ValueError with all of `parts`, called eagerly and while it is traced."""
    with pytest.raises(ValueError) as eager:  # noqa: PT011  # the message is looked at below
        function(argument)
    with pytest.raises(ValueError) as traced:  # noqa: PT011
        tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(argument.shape, argument.dtype))
    for message in (str(eager.value), str(traced.value)):
        for part in parts:
            assert part in message


EXPECTED = "(batch, frames 4, height 16, width 16, channels 3)"


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        (zeros(2, 4, 32, 32, 3), (EXPECTED, "(2, 4, 32, 32, 3)")),  # twice as large
        (zeros(2, 4, 8, 16, 3), (EXPECTED, "(2, 4, 8, 16, 3)")),
        (zeros(2, 8, 16, 16, 3), (EXPECTED, "(2, 8, 16, 16, 3)")),
        (zeros(2, 4, 16, 16, 1), (EXPECTED, "(2, 4, 16, 16, 1)")),
        (zeros(2, 3, 4, 16, 16), (EXPECTED, "(2, 3, 4, 16, 16)")),  # channels first
        (zeros(4, 16, 16, 3), (EXPECTED, "(4, 16, 16, 3)")),  # one clip without a batch
        (zeros(2, 4, 32, 32, 3, dtype="uint8"), (EXPECTED, "(2, 4, 32, 32, 3)")),
        (zeros(2, 4, 16, 16, 3, dtype="int32"), ("floats or uint8", "got int32")),
        (zeros(2, 4, 16, 16, 3, dtype="bool"), ("floats or uint8", "got bool")),
    ],
    ids=lambda wrong: f"{wrong.dtype}{list(wrong.shape)}" if isinstance(wrong, np.ndarray) else "",
)
@pytest.mark.parametrize("name", OF_VIDEOS)
def test_videos(name, wrong, parts):
    refused(OF_VIDEOS[name], wrong, *parts)


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        (tube_mask((2, 8, 8), 0.75, 2), ("tokens 32", "(2, 128)", "2×4×4")),  # of another grid
        (masks(1), ("batch 2", "(1, 32)")),
        (masks().reshape(2, *GRID), ("tokens 32", "(2, 2, 4, 4)", "2×4×4")),
        (masks().astype("int32"), ("must be bool", "got int32")),
        (masks().astype("float32"), ("must be bool", "got float32")),
    ],
    ids=["grid", "batch", "rank", "int", "float"],
)
@pytest.mark.parametrize("name", OF_MASKS)
def test_masks(name, wrong, parts):
    refused(OF_MASKS[name], wrong, *parts)


@pytest.mark.parametrize("name", ["pretrainer", "pretraining_loss"])
def test_masks_whose_values_are_known(name):
    unequal = masks()
    unequal[1] = np.arange(32) < 5
    with pytest.raises(ValueError, match=r"same number of masked tokens, got \[5, 24\]"):
        OF_MASKS[name](unequal)
    for everything, count in ((True, 32), (False, 0)):
        with pytest.raises(ValueError, match=f"masks {count} of 32 tokens"):
            OF_MASKS[name](np.full((2, 32), everything))


def indices(*shape):
    return zeros(*shape, dtype="int32")


@pytest.mark.parametrize(
    ("function", "wrong", "parts"),
    [
        (lambda x: patchify(x, TUBELET), zeros(2, 5, 16, 16, 3), ("frames 5", "patches of 2")),
        (lambda x: patchify(x, TUBELET), zeros(2, 4, 16, 18, 3), ("width 18", "patches of 4")),
        (lambda x: patchify(x, TUBELET), zeros(4, 16, 16, 3), ("frames", "(4, 16, 16, 3)")),
        (lambda x: gather_patches(x, indices(2, 3), TUBELET), zeros(2, 4, 18, 16, 3), ("height 18", "patches of 4")),
        (lambda x: gather_patches(tf.constant(pixels()), x, TUBELET), indices(3, 5), ("batch 2", "(3, 5)")),
        (lambda x: gather_patches(tf.constant(pixels()), x, TUBELET), zeros(2, 5), ("integers", "float32")),
        (lambda x: unpatchify(x, GRID, TUBELET), zeros(2, 31, 96), ("tokens 32", "(2, 31, 96)")),
        (lambda x: unpatchify(x, GRID, TUBELET), zeros(2, 32, 97), ("97", "channels of 32")),
        (lambda x: normalise(x, 3), zeros(2, 4), ("3 channels", "(2, 4)")),
        (lambda x: normalise(x, 3), indices(2, 3), ("floats or uint8", "int32")),
        (lambda x: unnormalise(x, 3), zeros(2, 4), ("3 channels", "(2, 4)")),
        (lambda x: unnormalise(x, 3), zeros(2, 3, dtype="uint8"), ("floats", "uint8")),
        (lambda x: normalise_patches(x, 3), zeros(2, 5, 97), ("97", "pixels of 3")),
        (lambda x: normalised_target(x, "videomae", 3, 2), zeros(2, 5, 97), ("97", "pixels of 3")),
        (lambda x: normalised_target(x, "mae_st", 3, 2), zeros(2, 5, 97), ("97", "frames of 2")),
        (lambda x: normalised_target(x, "videomae", 3, 2), zeros(5, 96), ("batch, tokens, values", "(5, 96)")),
        (lambda x: normalised_target(x, "videomae", 3, 2), indices(2, 5, 96), ("floats or uint8", "int32")),
        (lambda x: gather_tokens(tf.constant(zeros(2, 8, 3)), x), indices(3, 4), ("batch 2", "(3, 4)")),
        (split_indices, zeros(32, dtype="bool"), ("batch, tokens", "(32,)")),
        (lambda x: predicted_indices(masks(), x), zeros(2, 31, dtype="bool"), ("tokens 32", "(2, 31)")),
        (lambda x: PRETRAINER.encoder(x), zeros(2, 31, 96), ("tokens 32", "(2, 31, 96)")),
        (lambda x: PRETRAINER.encoder(x, indices(2, 8)), zeros(2, 8, 95), ("values 96", "(2, 8, 95)")),
        (lambda x: PRETRAINER.encoder(zeros(2, 8, 96), x), indices(2, 9), ("tokens 8", "(2, 9)")),
        (lambda x: PRETRAINER.encoder(zeros(2, 32, 96), path_noise=x), zeros(2, 3, 2), ("blocks 2", "(2, 3, 2)")),
        (lambda x: PRETRAINER.predict_patches(x, VISIBLE, MASKED), zeros(2, 7, 96), ("tokens 7", "(2, 8)")),
        (lambda x: PRETRAINER.predict_patches(zeros(2, 8, 96), VISIBLE, x), indices(3, 24), ("batch 2", "(3, 24)")),
        (lambda x: clip_losses(PRETRAINER, pixels(), x, MASKED), indices(1, 8), ("batch 2", "(1, 8)")),
        (
            lambda x: clip_losses(PRETRAINER, pixels(), VISIBLE, MASKED, weights=x),
            zeros(2, 23),
            ("tokens 24", "(2, 23)"),
        ),
        (lambda x: pool(PRETRAINER, x), zeros(2, 32, 23), ("width 24", "(2, 32, 23)")),
    ],
)
def test_other_arrays(function, wrong, parts):
    refused(function, wrong, *parts)


def test_counts_that_the_caller_gives():
    with pytest.raises(ValueError, match="masks 24 tokens of each example, expected 23"):
        split_indices(masks(), 23)
    with pytest.raises(ValueError, match="predicted=5 is too few: an example has 24 tokens"):
        predicted_indices(masks(), zeros(2, 32, dtype="bool"), 5)


@pytest.mark.parametrize("kind", [tube_mask, random_mask, frame_mask, block_mask, running_cell_mask])
@pytest.mark.parametrize("grid", [(8, 14), (8, 14, 0), (8, 14, 14, 14), (8.5, 14, 14)])
def test_grids_of_masks(kind, grid):
    with pytest.raises(ValueError, match=re.escape(f"grid={grid} must be three whole numbers")):
        kind(grid, 0.5)


@pytest.mark.parametrize("jit", [None, False])
@pytest.mark.parametrize("name", sorted({*OF_VIDEOS} - {"clip_losses"}))
def test_uint8_videos_are_normalised_as_the_formula_says(name, jit):
    by_hand = ((WHOLE / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).astype("float32")
    function = OF_VIDEOS[name] if jit is None else tf.function(OF_VIDEOS[name], autograph=False)
    made, expected = function(tf.constant(WHOLE)), function(tf.constant(by_hand))
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    raw = function(tf.constant(WHOLE.astype("float32")))  # what came of them before: pixels taken for normalised
    assert np.abs(np.asarray(raw) - expected).max() > 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("target", ["videomae", "mae_st", "pixels"])
def test_uint8_targets_are_those_of_pixels_in_the_unit_range(target):
    whole = WHOLE.reshape(2, 32, 96)
    made, expected = (normalised_target(x, target, 3, 2) for x in (whole, (whole / 255).astype("float32")))
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_sizes_that_a_traced_function_learns_later_pass():
    signature = [tf.TensorSpec((None, None, 16, None, 3)), tf.TensorSpec((None, 32), tf.bool)]
    run = tf.function(lambda v, mask: pretraining_loss(PRETRAINER, v, mask), input_signature=signature, autograph=False)
    mask = masks()
    np.testing.assert_allclose(
        run(tf.constant(videos()), tf.constant(mask)), pretraining_loss(PRETRAINER, videos(), mask), rtol=1e-5
    )
