"""Matrix products whose result does not depend on the kernel that the processor gets."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from mae.models.lean.one_pass import has_cpu_alone, rounds_products


def matmul(a: Any, b: Any) -> Any:
    """a·b, added in float32 and rounded to the nearest number of their dtype: (…, r, d), (…, d, e) → (…, r, e).

    oneDNN does so with half precision. TensorFlow's own kernels, which processors without instructions for it get,
    compute in float32 and then cut off: every number of a product comes out too small, by half a rounding step on
    average, and a model's gradients are nearly three times as wrong. They are asked for a product in float32 instead,
    which takes them as long, and it is rounded here. The price is memory, for its arrays in float32.
    """
    dtype = keras.backend.standardize_dtype(a.dtype)
    if dtype not in ("bfloat16", "float16") or not has_cpu_alone() or rounds_products(dtype):
        return ops.matmul(a, b)
    return _in_float32(a, b)


@ops.custom_gradient
def _in_float32(a: Any, b: Any) -> tuple[Any, Callable[..., tuple[Any, Any]]]:
    """`matmul` through float32, of which only `a` and `b` are kept for the backward pass."""

    def gradient(upstream: Any) -> tuple[Any, Any]:
        return matmul(upstream, ops.swapaxes(b, -1, -2)), matmul(ops.swapaxes(a, -1, -2), upstream)

    return ops.cast(ops.matmul(ops.cast(a, "float32"), ops.cast(b, "float32")), a.dtype), gradient
