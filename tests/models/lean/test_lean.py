"""What computes less or keeps less changes no number."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import masks, pixels, tiny_pretrainer

from mae.errors import ConfigError
from mae.models.layers import TransformerBlock
from mae.models.pretrainer import clip_losses
from mae.models.tokens import split_indices
from mae.presets import Architecture

VISIBLE, MASKED = split_indices(masks())
NOISE = np.random.default_rng(0).random((2, 2, 2)).astype("float32")


def loss_and_gradients(model, noise=None, jit=False):
    @tf.function(jit_compile=jit, autograph=False)
    def run():
        with tf.GradientTape() as tape:
            losses = clip_losses(model, pixels(), VISIBLE, MASKED, path_noise=noise, training=True)
            loss = tf.reduce_mean(losses)
        return loss, tape.gradient(loss, [v.value for v in model.trainable_variables])

    loss, gradients = run()
    return float(loss), [np.asarray(tf.convert_to_tensor(g)) for g in gradients]


@pytest.fixture(scope="module")
def plain():
    return loss_and_gradients(
        tiny_pretrainer(decoder_depth=2, drop_path_rate=0.5, attention="plain", lean=False), NOISE
    )


@pytest.mark.parametrize(
    ("overrides", "jit"),
    [
        ({"attention_chunk": 300}, False),
        ({"remat": "blocks"}, False),
        ({"remat": "blocks", "attention_chunk": 300}, True),
        ({"remat": "blocks", "attention": "plain", "lean": False}, False),
    ],
)
def test_loss_and_gradients_are_those_of_the_plain_model(plain, overrides, jit):
    model = tiny_pretrainer(decoder_depth=2, drop_path_rate=0.5, **overrides)
    loss, gradients = loss_and_gradients(model, NOISE, jit)
    expected, expected_gradients = plain
    assert loss == pytest.approx(expected, rel=1e-5)
    for variable, ours, theirs in zip(model.trainable_variables, gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max() + 1e-8, err_msg=variable.path)


def test_bfloat16_gradients_of_the_whole_model_are_as_near_float32_as_the_plain_ones():
    plain = {"attention": "plain", "lean": False}
    choices = {"exact": plain, "plain": {"dtype": "mixed_bfloat16", **plain}, "lean": {"dtype": "mixed_bfloat16"}}
    gradients = {name: compiled_gradients(tiny_pretrainer(**choice)) for name, choice in choices.items()}
    errors = {"plain": [], "lean": []}
    # Rounding errors of one batch are one draw: they are compared over several.
    for seed in range(8):
        made = {
            name: function(pixels(seed=seed), *split_indices(masks(seed=seed))) for name, function in gradients.items()
        }
        for name, logarithms in errors.items():
            pairs = zip(made[name], made["exact"], strict=True)
            logarithms += [np.log(np.linalg.norm(ours - exact) / np.linalg.norm(exact)) for ours, exact in pairs]
    assert np.mean(errors["lean"]) < np.mean(errors["plain"]) + np.log(1.2)


def compiled_gradients(model):
    @tf.function(autograph=False)
    def run(clips, visible, masked):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(clip_losses(model, clips, visible, masked, training=True))
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    return lambda *batch: [np.asarray(tf.convert_to_tensor(g)) for g in run(*map(tf.constant, batch))]


def test_remat_without_noise_draws_the_drop_paths_once():
    model = tiny_pretrainer(drop_path_rate=0.5, remat="blocks")
    state = model.encoder.blocks[1].drop_path.seed_generator.state
    before = np.array(state)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(clip_losses(model, pixels(), VISIBLE, MASKED, training=True))
    drawn = np.array(state)
    tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert (before != drawn).any()
    np.testing.assert_array_equal(state, drawn)


@pytest.mark.parametrize("rate", ["dropout_rate", "attention_dropout_rate"])
def test_remat_refuses_dropout(rate):
    with pytest.raises(ConfigError, match="remat=blocks runs blocks twice"):
        tiny_pretrainer(remat="blocks", **{rate: 0.1})


def test_dropout_of_attention_acts_in_training_and_only_there():
    model, plain = tiny_pretrainer(attention_dropout_rate=0.5), tiny_pretrainer()

    def losses(model, training):
        return np.asarray(clip_losses(model, pixels(), VISIBLE, MASKED, training=training))

    assert np.abs(losses(model, True) - losses(model, True)).max() > 1e-4
    np.testing.assert_allclose(losses(model, False), losses(plain, False), rtol=1e-6)


ATTENTIONS = {"plain": {"attention": "plain"}, "chunked": {"attention": "chunked", "attention_chunk": 50}}


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_block_of_the_last_tokens_computes_what_the_whole_block_does_of_them(attention):
    block = TransformerBlock(Architecture(**ATTENTIONS[attention]), 8, 2)
    block.build((None, None, 8))
    tokens = np.random.default_rng(0).normal(size=(2, 10, 8)).astype("float32")
    np.testing.assert_allclose(block(tokens, first_query=3), block(tokens)[:, 3:], atol=1e-6)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_ignored_tokens_are_as_good_as_absent(attention, dtype):
    block = TransformerBlock(Architecture(**ATTENTIONS[attention]), 8, 2, dtype=dtype)
    block.build((None, None, 8))
    tokens = np.random.default_rng(0).normal(size=(2, 10, 8)).astype("float32")
    ignored = np.zeros((2, 10), bool)
    ignored[:, :4] = True
    made = keras.ops.convert_to_numpy(keras.ops.cast(block(tokens, ignored=ignored)[:, 4:], "float32"))
    alone = keras.ops.convert_to_numpy(keras.ops.cast(block(tokens[:, 4:]), "float32"))
    np.testing.assert_allclose(made, alone, atol=1e-6 if dtype == "float32" else 0.05)


def test_unknown_choices_are_named():
    with pytest.raises(ConfigError, match="attention 'chunk' does not exist; did you mean 'chunked'"):
        tiny_pretrainer(attention="chunk")
    with pytest.raises(ConfigError, match="remat 'block' does not exist; did you mean 'blocks'"):
        tiny_pretrainer(remat="block")
