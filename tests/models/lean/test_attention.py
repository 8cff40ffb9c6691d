"""The chunked kernel against the plain formula, forward and gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from einops import rearrange

from mae.models.lean.attention import chunked_attention, plain_attention


def arrays(queries=10, keys=14, seed=0):
    """q, k, v and an upstream gradient."""
    rng = np.random.default_rng(seed)
    q, upstream = (rng.normal(size=shape).astype("float32") for shape in ((2, 3, queries, 4), (2, queries, 3 * 4)))
    k, v = (rng.normal(size=(2, 3, keys, 4)).astype("float32") for _ in range(2))
    return q, k, v, upstream


def with_gradients(function, q, k, v, upstream, dtype="float32", **settings):
    @tf.function(**settings, autograph=False)
    def run(q, k, v, upstream):
        inputs = [tf.cast(x, dtype) for x in (q, k, v)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            attended = function(*inputs)
        return attended, *tape.gradient(attended, inputs, output_gradients=tf.cast(upstream, dtype))

    return [np.asarray(tf.cast(x, tf.float32)) for x in run(q, k, v, upstream)]


@pytest.mark.parametrize("keys", [14, 10])
@pytest.mark.parametrize(
    "chunk",
    [
        1,  # query by query
        40,  # a few queries of one head
        140,  # one head
        450,  # three heads, not six
        10**6,  # everything
    ],
)
def test_equal_to_the_plain_formula(chunk, keys):
    expected = with_gradients(plain_attention, *arrays(keys=keys))
    made = with_gradients(lambda q, k, v: chunked_attention(q, k, v, chunk), *arrays(keys=keys))
    for ours, theirs in zip(made, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=5e-6)


def test_queries_that_do_not_fill_the_last_chunk_count_once():
    q, k, v, upstream = arrays(queries=11)
    expected = with_gradients(plain_attention, q, k, v, upstream)
    made = with_gradients(lambda *x: chunked_attention(*x, 3 * 14), q, k, v, upstream)
    for ours, theirs in zip(made, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=5e-6)


def test_compiled_with_xla_and_outside_of_a_compiled_function():
    q, k, v, upstream = arrays()
    expected = with_gradients(plain_attention, q, k, v, upstream)
    for ours, theirs in zip(
        with_gradients(lambda *x: chunked_attention(*x, 60), q, k, v, upstream, jit_compile=True), expected, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=5e-6)
    np.testing.assert_allclose(chunked_attention(q, k, v, 60), expected[0], atol=5e-6)


def formula(q, k, v, upstream):
    """softmax(q·kᵀ)·v and its gradients, in float64."""
    q, k, v, upstream = (x.astype("float64") for x in (q, k, v, upstream))
    upstream = rearrange(upstream, "b n (heads d) -> b heads n d", heads=q.shape[1])
    weights = np.exp(q @ k.swapaxes(-1, -2))
    weights /= weights.sum(axis=-1, keepdims=True)
    of_weights = upstream @ v.swapaxes(-1, -2)
    of_scores = weights * (of_weights - (weights * of_weights).sum(axis=-1, keepdims=True))
    attended = rearrange(weights @ v, "b heads n d -> b n (heads d)")
    return attended, of_scores @ k, of_scores.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ upstream


def test_half_precision_is_about_as_near_the_formula_as_plain_attention():
    errors = {}
    inputs = [keras.ops.convert_to_numpy(tf.cast(tf.cast(x, "bfloat16"), "float32")) for x in arrays(60, 70, seed=1)]
    exact = formula(*inputs)
    for name, function in (("plain", plain_attention), ("chunked", lambda *x: chunked_attention(*x, 1000))):
        made = with_gradients(function, *inputs, dtype="bfloat16")
        errors[name] = [np.sqrt(np.mean((a - b) ** 2)) for a, b in zip(made, exact, strict=True)]
    for ours, plain in zip(errors["chunked"], errors["plain"], strict=True):
        # The gradient uses the rounded output, see `_backward`: of q and k it has a third more rounding error.
        assert 0 < ours <= 1.5 * plain


def test_numbers_of_tokens_unknown_to_the_trace_fall_back_to_the_plain_formula():
    q, k, v, _ = arrays()
    signature = [tf.TensorSpec((None, 3, None, 4))] * 3
    traced = tf.function(lambda *x: chunked_attention(*x, 60), input_signature=signature, autograph=False)
    np.testing.assert_allclose(traced(q, k, v), plain_attention(q, k, v), atol=5e-6)


def test_a_batch_unknown_to_the_trace():
    q, k, v, upstream = arrays()
    signature = [tf.TensorSpec((None, *x.shape[1:])) for x in (q, k, v, upstream)]
    expected = with_gradients(plain_attention, q, k, v, upstream)
    for chunk in (60, 450):
        made = with_gradients(lambda *x, c=chunk: chunked_attention(*x, c), *arrays(), input_signature=signature)
        for ours, theirs in zip(made, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=5e-6)


def largest_array(tokens, chunk):
    """Values in the largest array of the traced forward and backward pass, loops included."""
    spec = tf.TensorSpec((1, 2, tokens, 4))

    @tf.function(input_signature=[spec] * 3, autograph=False)
    def gradients(q, k, v):
        with tf.GradientTape() as tape:
            tape.watch([q, k, v])
            attended = plain_attention(q, k, v) if chunk is None else chunked_attention(q, k, v, chunk)
        return tape.gradient(attended, [q, k, v])

    graph = gradients.get_concrete_function().graph
    bodies = [graph._get_function(name).graph for name in graph._functions]
    shapes = [t.shape for g in (graph, *bodies) for op in g.get_operations() for t in op.outputs]
    return max(shape.num_elements() or 0 for shape in shapes if shape.rank is not None)


def test_the_largest_array_grows_with_the_tokens_and_not_with_their_square():
    assert largest_array(64, None) == 2 * 64 * 64
    assert largest_array(256, None) == 2 * 256 * 256
    assert largest_array(64, 512) <= 2 * 64 * 6
    assert largest_array(256, 512) <= 2 * 256 * 6
