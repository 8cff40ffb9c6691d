"""A decoder that sees only some of the masked patches, against one that is given those and no others, clip by clip."""

import numpy as np
import pytest
import tensorflow as tf
from tiny import GRID, masks, pixels, tiny_pretrainer, videos

from mae.masking import num_predicted, random_mask, running_cell_mask
from mae.models.pretrainer import clip_losses, pretraining_loss
from mae.models.tokens import predicted_indices, split_indices
from mae.patches import patchify

TUBE = masks(3, ratio=0.5)
RANDOM = random_mask(GRID, 0.6, 3, seed=2)
DECODER = running_cell_mask(GRID, 0.5, 3, seed=4)


def losses_and_gradients(model, function):
    with tf.GradientTape() as tape:
        losses = function()
        loss = tf.reduce_mean(losses)
    return np.asarray(losses), [np.asarray(tf.convert_to_tensor(g)) for g in tape.gradient(loss, raw(model))]


def raw(model):
    return [variable.value for variable in model.trainable_variables]


def by_brute_force(model, is_masked):
    """The losses from one forward pass per clip with exactly the tokens that exist, the errors by NumPy's indexing."""
    clip_pixels = pixels(3)
    patches = patchify(clip_pixels, (2, 4, 4))
    normal = patchify(videos(3), (2, 4, 4))
    losses = []
    for b in range(3):
        visible = np.flatnonzero(~is_masked[b]).astype("int32")[None]
        both = np.flatnonzero(is_masked[b] & ~DECODER[b]).astype("int32")[None]
        predicted = model.predict_patches(normal[b : b + 1, visible[0]], visible, both, training=True)
        losses.append(tf.reduce_mean(tf.square(predicted - patches[b : b + 1, both[0]])))
    return tf.stack(losses)


@pytest.mark.parametrize(("is_masked", "attention"), [(TUBE, "plain"), (RANDOM, "chunked")], ids=["tube", "random"])
def test_losses_and_gradients_are_those_of_brute_force(is_masked, attention):
    model = tiny_pretrainer(attention=attention, attention_chunk=100, decoder_depth=2)
    counts = (is_masked & ~DECODER).sum(axis=1)
    assert len(set(counts.tolist())) > 1  # rows are filled up
    visible, _ = split_indices(is_masked)
    indices, weights = predicted_indices(is_masked, DECODER, int(counts.max()) + 1)

    def batched():
        return clip_losses(model, pixels(3), visible, indices, target="pixels", training=True, weights=weights)

    losses, gradients = losses_and_gradients(model, batched)
    expected, expected_gradients = losses_and_gradients(model, lambda: by_brute_force(model, is_masked))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for variable, ours, theirs in zip(model.trainable_variables, gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max() + 1e-8, err_msg=variable.path)


def test_the_scalar_loss_takes_the_decoder_mask_too():
    model = tiny_pretrainer()
    loss = pretraining_loss(model, videos(3), RANDOM, target="pixels", is_decoder_masked=DECODER)
    np.testing.assert_allclose(loss, np.mean(by_brute_force(model, RANDOM)), rtol=1e-5)


def test_without_a_decoder_mask_it_is_the_single_mask_loss():
    model, nothing = tiny_pretrainer(), np.zeros_like(DECODER)
    visible, masked = split_indices(TUBE)
    indices, weights = predicted_indices(TUBE, nothing, num_predicted("tube", GRID, 0.5, 0.0)[0])
    np.testing.assert_array_equal(indices, masked)
    assert np.asarray(weights).all()
    single = clip_losses(model, pixels(3), visible, masked)
    np.testing.assert_array_equal(clip_losses(model, pixels(3), visible, indices), single)
    np.testing.assert_allclose(clip_losses(model, pixels(3), visible, indices, weights=weights), single, rtol=2e-6)


def test_places_are_in_order_after_those_that_fill_up():
    is_masked = np.array([[1, 1, 0, 1, 1, 0], [1, 0, 0, 0, 1, 1]], bool)
    is_decoder_masked = np.array([[0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0]], bool)
    indices, weights = predicted_indices(is_masked, is_decoder_masked)
    assert np.asarray(indices[0]).tolist() == [0, 3, 4]
    assert np.asarray(weights).tolist() == [[1, 1, 1], [0, 0, 1]]
    assert int(indices[1, -1]) == 5


def test_a_clip_whose_places_only_fill_up_has_no_loss_and_no_nan():
    model = tiny_pretrainer()
    visible, _ = split_indices(TUBE)
    indices, weights = predicted_indices(TUBE, np.ones_like(DECODER), 2)
    losses, gradients = losses_and_gradients(
        model, lambda: clip_losses(model, pixels(3), visible, indices, training=True, weights=weights)
    )
    assert losses.tolist() == [0, 0, 0]
    assert not any(gradient.any() for gradient in gradients)
