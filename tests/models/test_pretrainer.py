import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import GRID, masks, pixels, tiny_pretrainer, videos

from mae.errors import ConfigError
from mae.imagenet import IMAGENET_MEAN, IMAGENET_STD
from mae.masking import MASKS
from mae.models.pretrainer import clip_losses, pretraining_loss
from mae.models.tokens import split_indices
from mae.options import POSITIONS, TARGETS
from mae.patches import patchify, unpatchify
from mae.target_config import Target


def test_shapes_and_loss_are_what_the_contract_says():
    model = tiny_pretrainer()
    assert model(videos(), masks()).shape == (2, 24, 2 * 4 * 4 * 3)
    loss = pretraining_loss(model, videos(), masks())
    assert loss.shape == ()
    assert loss.dtype == "float32"


def test_prediction_depends_on_no_masked_pixel():
    model, mask = tiny_pretrainer(), masks()
    patches = patchify(videos(), (2, 4, 4))
    changed = np.where(mask[..., None], 7.0, patches).astype("float32")
    np.testing.assert_array_equal(model(videos(), mask), model(unpatchify(changed, GRID, (2, 4, 4)), mask))


def test_prediction_depends_on_every_visible_patch():
    model, mask = tiny_pretrainer(), masks(batch=1)
    patches = patchify(videos(1), (2, 4, 4))
    before = np.asarray(model(videos(1), mask))
    for index in np.flatnonzero(~mask[0]):
        changed = patches.copy()
        changed[0, index] += 1
        assert np.abs(np.asarray(model(unpatchify(changed, GRID, (2, 4, 4)), mask)) - before).max() > 1e-4


def test_loss_is_blind_to_what_is_predicted_of_visible_patches_and_equals_its_definition():
    model, mask = tiny_pretrainer(), masks()
    predicted = np.asarray(model(videos(), mask))
    expected = patchify(pixels(), (2, 4, 4))[mask].reshape(predicted.shape)
    by_hand = np.mean((predicted - expected) ** 2)
    np.testing.assert_allclose(pretraining_loss(model, videos(), mask, target="pixels"), by_hand, rtol=1e-5)


@pytest.mark.parametrize("lean", [True, False])
def test_loss_of_differences_equals_its_definition(lean):
    model, mask, clips = tiny_pretrainer(lean=lean), masks(), pixels()
    predicted = np.asarray(model(videos(), mask))
    before = np.concatenate([clips[:, 1:2], clips[:, :-1]], axis=1)
    scale = np.sqrt(np.mean((clips - before) ** 2, axis=(1, 2, 3, 4), keepdims=True))
    expected = patchify((clips - before) / scale, (2, 4, 4))[mask].reshape(predicted.shape)
    by_hand = np.mean((predicted - expected) ** 2)
    np.testing.assert_allclose(pretraining_loss(model, videos(), mask, target="difference"), by_hand, rtol=1e-4)


def test_a_loss_weighted_by_motion_equals_its_definition_also_under_two_masks():
    model, mask, clips = tiny_pretrainer(), masks(), pixels()
    clips[:, :, :, 8:] = clips[:, :1, :, 8:]  # the right half stands still
    before = np.concatenate([clips[:, 1:2], clips[:, :-1]], axis=1)
    visible, masked = split_indices(mask)
    predicted = np.asarray(model(((clips - IMAGENET_MEAN) / IMAGENET_STD).astype("float32"), mask))
    errors = np.mean((predicted - patchify(clips, (2, 4, 4))[mask].reshape(predicted.shape)) ** 2, axis=2)
    motion = patchify(np.abs(clips - before), (2, 4, 4)).mean(axis=2)[mask].reshape(errors.shape) + 1 / 255
    target = Target("pixels", weight="motion")
    made = clip_losses(model, clips, visible, masked, target)
    np.testing.assert_allclose(made, (errors * motion).sum(1) / motion.sum(1), rtol=1e-4)
    # Weight 0 at the first patch: it fills up the row, and no token attends to it.
    weights = np.ones(errors.shape, "float32")
    weights[:, 0] = 0
    alone = clip_losses(model, clips, visible, masked[:, 1:], target)
    np.testing.assert_allclose(clip_losses(model, clips, visible, masked, target, weights=weights), alone, rtol=1e-4)
    nothing = clip_losses(model, clips, visible, masked, target, weights=0 * weights)
    np.testing.assert_array_equal(nothing, 0)


@pytest.mark.parametrize("target", [Target("difference"), Target("difference", "patch", 0.5, "motion")])
def test_every_weight_gets_a_gradient_from_differences(target):
    model = tiny_pretrainer()
    with tf.GradientTape() as tape:
        loss = pretraining_loss(model, videos(), masks(), target, training=True)
    for gradient in tape.gradient(loss, [v.value for v in model.trainable_variables]):
        assert float(tf.reduce_max(tf.abs(gradient))) > 0


def test_differences_of_one_frame_are_refused():
    model = tiny_pretrainer(num_frames=1, tubelet_size=1)
    with pytest.raises(ConfigError, match="target=difference compares frames, and num_frames=1"):
        clip_losses(model, pixels()[:, :1], *split_indices(masks()[:, :16]), "difference")


@pytest.mark.parametrize("target", TARGETS)
def test_uint8_clips_give_the_loss_of_the_same_floats(target):
    model = tiny_pretrainer()
    whole = np.random.default_rng(0).integers(0, 256, (2, 4, 16, 16, 3), "uint8")
    visible, masked = split_indices(masks())
    from_bytes = clip_losses(model, keras.ops.convert_to_tensor(whole), visible, masked, target)
    from_floats = clip_losses(
        model, keras.ops.convert_to_tensor(whole.astype("float32") / 255), visible, masked, target
    )
    np.testing.assert_allclose(from_bytes, from_floats, rtol=1e-6)


@pytest.mark.parametrize("kind", MASKS)
def test_every_kind_of_mask_goes_through_a_compiled_function(kind):
    model, mask = tiny_pretrainer(), MASKS[kind](GRID, 0.5, 2, 0)
    compiled = tf.function(lambda v, m: pretraining_loss(model, v, m), autograph=False)
    loss = compiled(tf.constant(videos()), tf.constant(mask))
    np.testing.assert_allclose(loss, pretraining_loss(model, videos(), mask), rtol=1e-5)


@pytest.mark.parametrize("positions", POSITIONS)
def test_tokens_are_told_apart_by_their_positions(positions):
    model = tiny_pretrainer(positions=positions)
    same_everywhere = np.ones((1, 4, 16, 16, 3), "float32")
    predicted = np.asarray(model(same_everywhere, masks(batch=1)))[0]
    assert np.abs(predicted[0] - predicted[1]).max() > 1e-4


def test_every_weight_gets_a_gradient():
    model = tiny_pretrainer(positions="learnable")
    with tf.GradientTape() as tape:
        loss = pretraining_loss(model, videos(), masks(), training=True)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, variable.path


def test_drop_path_follows_the_noise_it_is_given():
    model = tiny_pretrainer(drop_path_rate=0.5)
    visible, masked = split_indices(masks())

    def losses(noise, training=True):
        noise = np.asarray(noise, "float32")
        return np.asarray(clip_losses(model, pixels(), visible, masked, path_noise=noise, training=training))

    kept, dropped = np.full((2, 2, 2), 0.9), np.full((2, 2, 2), 0.1)
    mixed = np.stack([kept[0], dropped[1]])
    assert np.abs(losses(kept) - losses(dropped)).min() > 1e-4
    np.testing.assert_array_equal(losses(mixed), [losses(kept)[0], losses(dropped)[1]])
    np.testing.assert_array_equal(losses(dropped, training=False), losses(kept, training=False))


def test_drop_path_is_linear_in_depth_and_keeps_the_mean():
    model = tiny_pretrainer(depth=5, drop_path_rate=0.4)
    rates = [block.drop_path.rate for block in model.encoder.blocks]
    np.testing.assert_allclose(rates, [0, 0.1, 0.2, 0.3, 0.4])
    layer = model.encoder.blocks[-1].drop_path
    dropped = np.asarray(layer(np.ones((4000, 1, 1), "float32"), training=True))
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / 0.6], rtol=1e-6)
    assert abs(dropped.mean() - 1) < 0.06


def test_bfloat16_computes_near_float32_and_keeps_float32_weights_and_loss():
    plain, mixed = tiny_pretrainer(), tiny_pretrainer(dtype="mixed_bfloat16")
    assert mixed(videos(), masks()).dtype == "bfloat16"
    assert {v.dtype for v in mixed.trainable_variables} == {"float32"}
    loss = pretraining_loss(mixed, videos(), masks())
    assert loss.dtype == "float32"
    np.testing.assert_allclose(loss, pretraining_loss(plain, videos(), masks()), rtol=0.03)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channel_counts(channels):
    model = tiny_pretrainer(in_channels=channels)
    assert model(pixels(channels=channels), masks()).shape == (2, 24, 2 * 4 * 4 * channels)
    assert np.isfinite(pretraining_loss(model, pixels(channels=channels), masks()))


def test_initial_values():
    model = tiny_pretrainer.__globals__["build_pretrainer"]("vit_tiny")
    values = {v.path.removeprefix("pretrainer/"): v.numpy() for v in model.trainable_variables}
    limit = np.sqrt(6 / (128 + 3 * 128))  # Xavier-uniform
    kernel = values["encoder/block_0/attention/qkv/kernel"]
    assert kernel.max() == pytest.approx(limit, rel=0.01)
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    token = values["decoder/mask_token"]
    assert 0.01 < token.std() < 0.03
    assert np.abs(token).max() <= 0.04 + 1e-6  # truncated at two standard deviations
    for name, value in values.items():
        if name.endswith(("bias", "beta")):
            assert not value.any(), name


def test_round_trip_through_a_keras_file(tmp_path):
    model = tiny_pretrainer()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(videos(), masks()), model(videos(), masks()))
