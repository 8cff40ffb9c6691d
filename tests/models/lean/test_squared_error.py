import numpy as np
import pytest
import tensorflow as tf

from mae.models.lean.squared_error import squared_errors

PREDICTED = np.array([[[1.0, 2.0], [0.0, -1.0]]], "float32")
EXPECTED = np.array([[[0.0, 2.0], [2.0, 1.0]]], "float32")
UPSTREAM = np.array([[3.0, 0.5]], "float32")


@pytest.mark.parametrize("lean", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("jit", [False, True])
def test_errors_and_gradients_by_hand(lean, dtype, jit):
    @tf.function(jit_compile=jit, autograph=False)
    def run(predicted, expected, upstream):
        with tf.GradientTape() as tape:
            tape.watch([predicted, expected])
            errors = squared_errors(predicted, expected, lean)
        return errors, *tape.gradient(errors, [predicted, expected], output_gradients=upstream)

    errors, of_predicted, of_expected = run(tf.cast(PREDICTED, dtype), EXPECTED, UPSTREAM)
    # The mean of (1, 0)² and of (-2, -2)²; gradients are 2/2 · difference · upstream.
    np.testing.assert_array_equal(errors, [[0.5, 4.0]])
    by_hand = np.array([[[3.0, 0.0], [-1.0, -1.0]]])
    assert of_predicted.dtype == dtype
    np.testing.assert_array_equal(tf.cast(of_predicted, "float32"), by_hand)
    np.testing.assert_array_equal(of_expected, -by_hand)
