"""Each lean gradient against what differentiating the formula gives."""

import math

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
    @tf.function(**settings, autograph=False)
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


def gelu_formula(x):
    """gelu(x) and its derivative."""
    below = 0.5 * np.vectorize(math.erf)(x * math.sqrt(0.5)) + 0.5
    return x * below, below + x * np.exp(-np.square(x) / 2) / math.sqrt(2 * math.pi)


def norm_formula(x):
    """Normalised rows and 1/√(variance + epsilon)."""
    centred = x - x.mean(axis=1, keepdims=True)
    inverse = 1 / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-6)
    return centred * inverse, inverse


# In float64: values and gradients, each with what the rounding of numbers on the way to it adds up to, in units of the
# largest error of one rounding, and how often the result itself is rounded.
def linear_formula(x, kernel, bias, upstream):
    product = x @ kernel
    yield product + bias, np.abs(product), 1
    yield upstream @ kernel.T, 0, 1
    yield x.T @ upstream, 0, 1
    yield upstream.sum(axis=0), 0, 1


def gelu_linear_formula(x, kernel, bias, upstream):
    activated, slope = gelu_formula(x)
    product = activated @ kernel
    yield product + bias, np.abs(activated) @ np.abs(kernel) + np.abs(product), 1
    yield upstream @ kernel.T * slope, 0, 2
    yield activated.T @ upstream, np.abs(activated).T @ np.abs(upstream), 1
    yield upstream.sum(axis=0), 0, 1


def normalised_rows_formula(x, scale, offset, upstream):
    normal, inverse = norm_formula(x)
    yield normal * scale + offset, 0, 1
    yield gradient_of_norm(normal, inverse, upstream * scale), 0, 1
    yield (normal * upstream).sum(axis=0), 0, 0
    yield upstream.sum(axis=0), 0, 0


def normalised_linear_formula(x, kernel, bias, upstream):
    normal, inverse = norm_formula(x)
    rows = normal * SCALE + OFFSET
    product, of_rows = rows @ kernel, upstream @ kernel.T
    yield product + bias, np.abs(rows) @ np.abs(kernel) + np.abs(product), 1
    of_normal, size = of_rows * SCALE, np.abs(of_rows * SCALE)
    mean, mean_product = (y.mean(axis=1, keepdims=True) for y in (size, size * np.abs(normal)))
    yield gradient_of_norm(normal, inverse, of_normal), inverse * (size + mean + np.abs(normal) * mean_product), 1
    yield rows.T @ upstream, np.abs(rows).T @ np.abs(upstream), 1
    yield upstream.sum(axis=0), 0, 1


def gradient_of_norm(normal, inverse, of_normal):
    mean, mean_product = (y.mean(axis=1, keepdims=True) for y in (of_normal, of_normal * normal))
    return inverse * (of_normal - mean - normal * mean_product)


FORMULAS = {
    "linear": linear_formula,
    "gelu": gelu_linear_formula,
    "norm": normalised_rows_formula,
    "norm and linear": normalised_linear_formula,
}


@pytest.mark.parametrize(("dtype", "half_step"), [("bfloat16", 2.0**-8), ("float16", 2.0**-11)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_half_precision_is_as_near_the_formula_as_rounding_allows(name, dtype, half_step):
    """Sums of 400 numbers are kept in float32 and every result is rounded, not cut off, whatever the processor."""
    arrays = inputs(name, rows=400)
    weights = "float32" if name == "norm" else dtype
    made = with_gradients(FUNCTIONS[name][0], arrays, dtype, weights)
    exact = FORMULAS[name](*(x.astype("float64") for x in arrays))
    for ours, (value, on_the_way, roundings) in zip(made, exact, strict=True):
        most = half_step * (on_the_way + roundings * np.abs(value))
        # Of the second order, and of float32.
        excess = np.abs(ours - value) - 1.02 * most - 1e-5 * (1 + np.abs(value))
        assert excess.max() <= 0


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
