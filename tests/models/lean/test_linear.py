"""Each lean gradient against what differentiating the formula gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mae.models.lean.layer_norm import LayerNorm, normalised_linear, normalised_rows
from mae.models.lean.linear import gelu_linear, linear


def inputs(function, rows=9):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 2, (rows, 8))
    others = [rng.normal(size=(8, 6)), rng.normal(size=6)] if function != "norm" else [rng.normal(size=8)] * 2
    upstream = rng.normal(size=(rows, others[-1].shape[0]))
    return [keras.ops.convert_to_numpy(tf.cast(tf.cast(a, "bfloat16"), "float32")) for a in (x, *others, upstream)]


def plain_norm(x, scale, offset):
    return tf.cast(keras.ops.layer_normalization(x, scale, offset, epsilon=1e-6), x.dtype)


SCALE, OFFSET = np.random.default_rng(1).normal(1, 0.5, (2, 8)).astype("float32")


FUNCTIONS = {
    "linear": (linear, lambda *x: linear(*x, lean=False)),
    "gelu": (gelu_linear, lambda *x: gelu_linear(*x, lean=False)),
    "norm": (lambda *x: normalised_rows(*x, 1e-6), plain_norm),
    "norm and linear": (
        lambda x, *weights: normalised_linear(x, SCALE, OFFSET, *weights, 1e-6),
        lambda x, *weights: linear(plain_norm(x, SCALE, OFFSET), *weights, lean=False),
    ),
}


def with_gradients(function, arrays, dtype="float32", weights="float32", **settings):
    @tf.function(**settings)
    def run(x, a, b, upstream):
        variables = [tf.cast(x, dtype), tf.cast(a, weights), tf.cast(b, weights)]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            made = function(*variables)
        return made, *tape.gradient(made, variables, output_gradients=tf.cast(upstream, made.dtype))

    return [np.asarray(tf.cast(y, tf.float32)) for y in run(*arrays)]


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_those_of_the_formula(name, jit):
    lean, plain = FUNCTIONS[name]
    made = with_gradients(lean, inputs(name), jit_compile=jit)
    for ours, theirs in zip(made, with_gradients(plain, inputs(name)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_half_precision_is_no_further_from_float32_than_the_formula(name):
    lean, plain = FUNCTIONS[name]
    arrays = inputs(name, rows=400)
    exact = with_gradients(plain, arrays)
    weights = "float32" if name == "norm" else "bfloat16"

    def errors(function):
        made = with_gradients(function, arrays, "bfloat16", weights)
        return [np.sqrt(np.mean((a - b) ** 2)) for a, b in zip(made, exact, strict=True)]

    for ours, theirs in zip(errors(lean), errors(plain), strict=True):
        assert ours <= 1.1 * theirs + 1e-5


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_norm_before_a_linear_has_the_gradients_of_both(dtype):
    rng = np.random.default_rng(0)
    tokens, kernel, bias = (rng.normal(size=shape).astype("float32") for shape in ((2, 40, 8), (8, 6), (6,)))
    gradients = {}
    for lean in (True, False):
        layer = LayerNorm(lean, epsilon=1e-6, dtype=dtype)
        layer.build(tokens.shape)
        layer.set_weights([SCALE, OFFSET])
        inputs = [tf.cast(x, layer.compute_dtype) for x in (tokens, kernel, bias)]
        weights = [v.value for v in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.square(tf.cast(layer.then_linear(*inputs), "float32")))
        gradients[lean] = tape.gradient(loss, [*inputs, *weights])
    for ours, theirs in zip(gradients[True], gradients[False], strict=True):
        assert ours.dtype == theirs.dtype
        ours, theirs = (np.asarray(tf.cast(x, "float32")) for x in (ours, theirs))
        tolerance = 1e-5 if dtype == "float32" else 2e-2
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


def test_gelu_by_hand():
    # x·Φ(x) at a few places, Φ from a table of the normal distribution.
    x = np.array([[-1.0], [0.0], [1.0], [2.0]], "float32")
    made = gelu_linear(x, np.ones((1, 1), "float32"), np.zeros(1, "float32"))
    np.testing.assert_allclose(np.ravel(made), [-0.158655, 0, 0.841345, 1.954500], atol=1e-5)


@pytest.mark.parametrize("lean", [True, False])
def test_the_layer_normalises_every_token(lean):
    layer = LayerNorm(lean, epsilon=1e-6)
    tokens = np.random.default_rng(0).normal(5, 3, (2, 3, 64)).astype("float32")
    made = np.asarray(layer(tokens))
    np.testing.assert_allclose(made.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(made.std(axis=-1), 1, atol=1e-4)
