"""What is to be computed again is not computed before its time."""

import time

import keras
import numpy as np
import tensorflow as tf

from mae.models.attention import chunked_attention
from mae.models.layer_norm import normalised_linear, normalised_rows
from mae.models.linear import gelu_linear
from mae.models.order import after


def test_what_is_computed_of_the_arrays_waits():
    events = []

    def note(event, seconds=0.0):
        def noted(x):
            time.sleep(seconds)
            events.append(event)
            return x

        return noted

    @tf.function
    def run(x):
        known = tf.numpy_function(note("known", 0.1), [x], tf.float32)
        one, two = after(known, x, x + 1)
        return known, tf.numpy_function(note("computed"), [one + two], tf.float32)

    assert float(run(tf.constant(2.0))[1]) == 5
    assert events == ["known", "computed"]
    assert float(after(tf.constant(0.0), tf.constant(2.0))) == 2


def optimised_operations(function, *shapes):
    """Kinds of operations, with how many there are, of the forward and backward pass as TensorFlow runs them."""
    rng = np.random.default_rng(0)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        inputs = [tf.compat.v1.placeholder(tf.float32, shape) for shape in shapes]
        made = function(*inputs)
        # Another step lies between the two passes, as in a model.
        gradients = tf.gradients(tf.reduce_sum(tf.sin(made)), inputs)
        metadata = tf.compat.v1.RunMetadata()
        session.run(
            [made, *gradients],
            {x: rng.normal(size=x.shape) for x in inputs},
            tf.compat.v1.RunOptions(output_partition_graphs=True),
            metadata,
        )
    kinds = [node.op for graph in metadata.partition_graphs for node in graph.node]
    return {kind: kinds.count(kind) for kind in kinds}


def test_the_optimiser_does_not_keep_what_the_gradients_compute_again():
    """It would take one array for both passes, were they the same computation."""
    shapes = {"rows": (6, 4), "kernel": (4, 3), "bias": (3,), "scale": (4,), "offset": (4,)}
    cases = {
        "Erf": (gelu_linear, "rows", "kernel", "bias"),
        "Softmax": (lambda q, k, v: chunked_attention(*(keras.ops.reshape(x, (1, 1, 6, 4)) for x in (q, k, v)), 36),
                    "rows", "rows", "rows"),
    }  # fmt: skip
    for kind, (function, *names) in cases.items():
        assert optimised_operations(function, *(shapes[name] for name in names))[kind] == 2, kind
    norm = optimised_operations(lambda *x: normalised_rows(*x, 1e-6), *(shapes[n] for n in ("rows", "scale", "offset")))
    both = optimised_operations(
        lambda *x: normalised_linear(*x, 1e-6), *(shapes[n] for n in ("rows", "scale", "offset", "kernel", "bias"))
    )
    print(norm, both)
