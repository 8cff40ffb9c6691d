"""Small functions of many operations as one pass over memory."""

from collections.abc import Callable
from functools import wraps
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
        alone = all(device.device_type == "CPU" for device in tf.config.list_physical_devices())
        return (compiled if alone else function)(*arrays, **settings)

    return run
