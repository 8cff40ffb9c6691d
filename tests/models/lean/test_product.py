"""Products and sums in half precision are added in float32 and rounded once, whatever the processor.

`make test-plain-kernels` runs this with the kernels of a processor without instructions for half precision.
"""

import numpy as np
import pytest
import tensorflow as tf

from mae.models.lean import product
from mae.models.lean.linear import sum_of_rows
from mae.models.lean.product import matmul

# The largest error of rounding a number of [1, 2) to the nearest one.
HALF_STEPS = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
KINDS = {"two matrices": ((300, 500), (500, 70)), "pairs of matrices": ((2, 3, 30, 500), (2, 3, 500, 7))}


def arrays(shapes, dtype):
    rng = np.random.default_rng(0)
    return [tf.cast(rng.normal(0.2, 1, shape), dtype) for shape in shapes]


def check_rounded_once(made, a, b, half_step):
    """`made` of the product of two float64 matrices."""
    exact = a @ b
    # What float32 loses is a share of the terms, which may be far larger than their sum.
    float32 = 2.0**-20 * (np.abs(a) @ np.abs(b))
    assert (np.abs(np.asarray(tf.cast(made, "float64")) - exact) <= half_step * np.abs(exact) + float32).all()


@pytest.mark.parametrize("jit", [False, True, None])
@pytest.mark.parametrize("dtype", HALF_STEPS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_product_and_its_gradients_are_rounded_once(kind, dtype, jit):
    a, b = arrays(KINDS[kind], dtype)
    (upstream,) = arrays([(a[..., :1] @ b[..., :1, :]).shape], dtype)

    def run(a, b):
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            made = matmul(a, b)
        return made, *tape.gradient(made, [a, b], output_gradients=upstream)

    made, of_a, of_b = (run if jit is None else tf.function(run, jit_compile=jit, autograph=False))(a, b)
    assert made.dtype == of_a.dtype == of_b.dtype == dtype
    x, y, g = (np.asarray(tf.cast(array, "float64")) for array in (a, b, upstream))
    check_rounded_once(made, x, y, HALF_STEPS[dtype])
    check_rounded_once(of_a, g, y.swapaxes(-1, -2), HALF_STEPS[dtype])
    check_rounded_once(of_b, x.swapaxes(-1, -2), g, HALF_STEPS[dtype])


@pytest.mark.parametrize("dtype", HALF_STEPS)
def test_where_kernels_cut_off_the_product_runs_in_float32(dtype, monkeypatch):
    monkeypatch.setattr(product, "rounds_products", lambda dtype: False)
    test_a_product_and_its_gradients_are_rounded_once("pairs of matrices", dtype, False)
    traced = tf.function(matmul, autograph=False).get_concrete_function(*arrays(KINDS["two matrices"], dtype))
    (multiplied,) = (o for o in traced.graph.get_operations() if o.type == "MatMul")
    assert {x.dtype for x in multiplied.inputs} == {tf.float32}


def test_float32_is_multiplied_as_it_stands():
    a, b = arrays(KINDS["two matrices"], "float32")
    np.testing.assert_array_equal(matmul(a, b), a @ b)


@pytest.mark.parametrize("dtype", [*HALF_STEPS, "float32"])
@pytest.mark.parametrize("rows", [400, 12_544])
def test_a_sum_of_rows_is_rounded_once(rows, dtype):
    (array,) = arrays([(rows, 6)], dtype)
    made = sum_of_rows(array)
    assert made.dtype == dtype
    check_rounded_once(made, np.ones(rows), np.asarray(tf.cast(array, "float64")), HALF_STEPS.get(dtype, 0))
