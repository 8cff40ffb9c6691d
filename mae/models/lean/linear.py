"""Dense layers whose gradients cost less than those found by differentiating them term by term.

Each function has its own gradient: equal to the formula's, but with fewer passes over memory and fewer arrays kept for
the backward pass. `lean=False` gives the formula as it stands.
"""

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from mae.models.lean.one_pass import one_pass
from mae.models.lean.order import after
from mae.models.lean.product import matmul


def linear(rows: Any, kernel: Any, bias: Any, lean: bool = True) -> Any:
    """rows·kernel + bias: (r, d), (d, e), (e,) → (r, e)."""
    if not lean:
        return matmul(rows, kernel) + bias

    @ops.custom_gradient
    def product(rows: Any, kernel: Any, bias: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
        def gradient(*inputs: Any, upstream: Any = None) -> tuple[Any, ...]:
            # PyTorch's backend passes the inputs again and `upstream` by name.
            upstream = inputs[0] if upstream is None else upstream
            return times_transposed(upstream, kernel), matmul(ops.transpose(rows), upstream), sum_of_rows(upstream)

        return matmul(rows, kernel) + bias, gradient

    return product(rows, kernel, bias)


def gelu_linear(rows: Any, kernel: Any, bias: Any, lean: bool = True) -> Any:
    """gelu(rows)·kernel + bias with the exact GELU x·Φ(x) (arXiv:1606.08415): (r, d), (d, e), (e,) → (r, e).

    The GELU is computed in float32 also where `rows` are of half precision: on a CPU that takes a third of the time,
    and 1 + erf loses nothing near -1. Only `rows` are kept for the backward pass, which computes the GELU again.
    """
    if not lean:
        return matmul(ops.gelu(rows, approximate=False), kernel) + bias

    @ops.custom_gradient
    def product(rows: Any, kernel: Any, bias: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
        def gradient(*inputs: Any, upstream: Any = None) -> tuple[Any, ...]:
            upstream = inputs[0] if upstream is None else upstream
            activated, of_rows = _gelu_and_gradient(after(upstream, rows), times_transposed(upstream, kernel))
            return of_rows, matmul(ops.transpose(activated), upstream), sum_of_rows(upstream)

        return matmul(_gelu(rows), kernel) + bias, gradient

    return product(rows, kernel, bias)


def sum_of_rows(rows: Any) -> Any:
    """(r, d) → (d,), added in float32 and rounded once, on every processor.

    In float32 as a matrix product: TensorFlow's sums over rows take twice the time on a CPU. Not so in half precision:
    how a product is rounded there is up to the kernel that the processor gets.
    """
    if rows.dtype == "float32":
        return ops.matmul(ops.ones((1, ops.shape(rows)[0]), rows.dtype), rows)[0]
    return _sum_in_float32(rows)


@one_pass
def _sum_in_float32(rows: Any) -> Any:
    return ops.cast(ops.sum(ops.cast(rows, "float32"), axis=0), rows.dtype)


def times_transposed(rows: Any, kernel: Any) -> Any:
    """rows·kernelᵀ: (r, e), (d, e) → (r, d).

    As a batch of one: for that oneDNN has another routine, a fifth faster in float32.
    """
    return ops.squeeze(matmul(ops.expand_dims(rows, 0), ops.expand_dims(ops.transpose(kernel), 0)), 0)


@one_pass
def _gelu(rows: Any) -> Any:
    x = ops.cast(rows, "float32")
    return ops.cast(x * _normal_cdf(x), rows.dtype)


@one_pass
def _gelu_and_gradient(rows: Any, upstream: Any) -> tuple[Any, Any]:
    """gelu(rows) and the gradient of `rows`."""
    x = ops.cast(rows, "float32")
    below = _normal_cdf(x)
    of_rows = ops.cast(upstream, "float32") * (below + x * _normal_density(x))
    return ops.cast(x * below, rows.dtype), ops.cast(of_rows, rows.dtype)


def _normal_cdf(x: Any) -> Any:
    return 0.5 * ops.erf(x * math.sqrt(0.5)) + 0.5


def _normal_density(x: Any) -> Any:
    return ops.exp(-ops.square(x * math.sqrt(0.5))) * (1 / math.sqrt(2 * math.pi))
