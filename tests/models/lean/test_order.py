"""What is to be computed again is not computed before its time."""

import time

import pytest
import tensorflow as tf

from mae.models.lean.attention import chunked_attention
from mae.models.lean.layer_norm import normalised_linear, normalised_rows
from mae.models.lean.linear import gelu_linear
from mae.models.lean.order import after
from mae.models.lean.squared_error import squared_errors


def test_what_is_computed_of_the_arrays_waits():
    events = []

    def note(event, seconds=0.0):
        def noted(x):
            time.sleep(seconds)
            events.append(event)
            return x

        return noted

    @tf.function(autograph=False)
    def run(x):
        known = tf.numpy_function(note("known", 0.1), [x], tf.float32)
        one, two = after(known, x, x + 1)
        return known, tf.numpy_function(note("computed"), [one + two], tf.float32)

    assert float(run(tf.constant(2.0))[1]) == 5
    assert events == ["known", "computed"]
    assert float(after(tf.constant(0.0), tf.constant(2.0))) == 2


def early_operations(function, shapes, with_gradients):
    """Kinds of the operations that give whole arrays and do not wait for the upstream gradient."""
    inputs = [tf.TensorSpec(shape) for shape in shapes]
    made_shape = tf.function(function, autograph=False).get_concrete_function(*inputs).output_shapes

    @tf.function(autograph=False)
    def run(upstream, *inputs):
        made = function(*inputs)
        return tf.gradients(made, inputs, upstream) if with_gradients else made

    graph = run.get_concrete_function(tf.TensorSpec(made_shape), *inputs).graph
    waiting = {graph.inputs[0].op}
    for operation in graph.get_operations():  # in the order in which they were made
        if waiting & {*(x.op for x in operation.inputs), *operation.control_inputs}:
            waiting.add(operation)
    # TensorFlow's own, which are pruned: copies of outputs, and gradients of results that nobody has.
    others = [o for o in graph.get_operations() if o not in waiting and o.type not in ("Identity", "ZerosLike")]
    return sorted(o.type for o in others if any((x.shape.num_elements() or 0) >= ELEMENTS for x in o.outputs))


ELEMENTS = 6 * 4
ROWS, WEIGHTS, LINEAR = (6, 4), ((4,), (4,)), ((4, 5), (5,))
HEAD = (1, 1, *ROWS)
PATCHES = (2, 3, 4)
CASES = {
    "gelu": (gelu_linear, (ROWS, *LINEAR)),
    "attention": (lambda *x: chunked_attention(*x, 36), (HEAD, HEAD, HEAD)),
    "norm": (lambda *x: normalised_rows(*x, 1e-6), (ROWS, *WEIGHTS)),
    "norm and linear": (lambda *x: normalised_linear(*x, 1e-6), (ROWS, *WEIGHTS, *LINEAR)),
    "squared errors": (squared_errors, (PATCHES, PATCHES)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_compute_nothing_in_the_forward_pass(name):
    function, shapes = CASES[name]
    both = early_operations(function, shapes, with_gradients=True)
    assert both == early_operations(function, shapes, with_gradients=False)
    assert {*both} - {"Placeholder", "IdentityN"}
