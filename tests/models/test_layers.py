"""Gradients in half precision are added up in float32, however many tokens there are."""

import numpy as np
import pytest
import tensorflow as tf
from tiny import GRID, masks, tiny_pretrainer

from mae.models.layers import Dense
from mae.models.tokens import split_indices

HALF_STEPS = {"bfloat16": 2.0**-8, "float16": 2.0**-11}


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("dtype", HALF_STEPS)
def test_a_dense_layer_of_many_tokens(dtype, use_bias):
    rng = np.random.default_rng(0)
    layer = Dense(6, use_bias=use_bias, dtype=f"mixed_{dtype}")
    layer.build((None, None, 8))
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    tokens, upstream = (tf.cast(rng.normal(0.2, 1, shape), dtype) for shape in ((4, 3000, 8), (4, 3000, 6)))
    with tf.GradientTape() as tape:
        made = layer(tokens)
    gradients = tape.gradient(made, [w.value for w in layer.weights], output_gradients=upstream)
    x, g = (np.asarray(tf.cast(array, "float64")).reshape(12_000, -1) for array in (tokens, upstream))
    kernel, *bias = (np.asarray(tf.cast(tf.cast(w.value, dtype), "float64")) for w in layer.weights)
    product, half_step = x @ kernel, HALF_STEPS[dtype]
    value = product + sum(bias)
    error = np.abs(np.asarray(tf.cast(made, "float64")).reshape(value.shape) - value)
    assert (error <= 1.01 * half_step * (np.abs(product) + np.abs(value)) + 1e-5).all()
    for gradient, exact in zip(gradients, (x.T @ g, g.sum(axis=0)), strict=False):
        np.testing.assert_allclose(gradient, exact, rtol=1.01 * half_step, atol=0.05 * half_step)


@pytest.mark.parametrize("dtype", HALF_STEPS)
def test_the_mask_token_of_many_places(dtype):
    clips = 256  # 6144 mask tokens
    visible, masked = split_indices(masks(clips))
    tokens = np.random.default_rng(0).normal(size=(clips, visible.shape[1], 12)).astype("float32")
    gradients = {}
    for policy in ("float32", f"mixed_{dtype}"):
        decoder = tiny_pretrainer(dtype=policy).decoder
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.cast(decoder(tokens, visible, masked), "float32")) / np.prod(GRID)
        gradients[policy] = np.ravel(tape.gradient(loss, decoder.mask_token.value))
    exact, made = gradients.values()
    # Each of a few layers rounds at random; added up in half precision, rounding would only ever shrink a long sum.
    assert np.linalg.norm(made - exact) <= 3 * HALF_STEPS[dtype] * np.linalg.norm(exact)
