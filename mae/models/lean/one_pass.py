"""What is done where TensorFlow has a CPU alone: small functions as one pass over memory, a look at its kernels."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import keras


def one_pass(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of arrays, compiled by XLA wherever it is called, if TensorFlow has a CPU alone.

    TensorFlow runs one operation after the other, each from memory to memory; what is compiled stays in registers in
    between. It is worth it for element-wise functions; the large matrix products around them are better left to oneDNN.
    Beside a GPU or TPU, and on other backends, the function runs as it stands: whole steps are compiled there (`jit`).
    No gradient is taken through it: it is for the inside of functions that have their own.

    Args:
        function: of tensors, and of settings (numbers, strings) by keyword, to tensors.
    """
    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    compiled = tf.function(function, jit_compile=True, autograph=False)

    @wraps(function)
    def run(*arrays: Any, **settings: Any) -> Any:
        return (compiled if has_cpu_alone() else function)(*arrays, **settings)

    return run


def has_cpu_alone() -> bool:
    """Whether TensorFlow is the backend and finds no GPU or TPU."""
    if keras.config.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return all(device.device_type == "CPU" for device in tf.config.list_physical_devices())


@cache
def rounds_products(dtype: str) -> bool:
    """Whether TensorFlow adds products of this half precision in float32 and rounds them: two are computed to see."""
    import tensorflow as tf

    step = {"bfloat16": 2.0**-7, "float16": 2.0**-10}[dtype]  # from 1 to the next number
    # The sum lies three quarters of a step above a number of this dtype. Cut off it is that number, and a sum that
    # was kept in this dtype would have stayed at 1.
    row = [1.0] + [step / 4] * 255
    with tf.init_scope():
        rows, ones = tf.constant([row] * 64, dtype), tf.ones((256, 64), dtype)
        made = (rows @ ones, (rows[None] @ ones[None])[0])
        return all(bool(tf.reduce_all(tf.cast(x, tf.float32) == 1 + 64 * step)) for x in made)
