"""Softmax attention, in one operation, or with and without keeping the scores of all queries for all keys.

`plain_attention` is the formula. `chunked_attention` gives the same values and gradients, but holds only `chunk`
scores at a time and computes them again in the backward pass, so its memory grows linearly with the number of
tokens (the idea of arXiv:2112.05682 and arXiv:2205.14135). A chunk that fits the processor's cache also makes it
faster than the plain formula on a CPU. Queries come scaled; scores are softmaxed in float32 whatever their dtype.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from einops import rearrange
from keras import ops

from mae.models.lean.order import after
from mae.models.lean.product import matmul


def plain_attention(q: Any, k: Any, v: Any, drop: Callable[[Any], Any] | None = None) -> Any:
    """softmax(q·kᵀ)·v: (b, heads, n, d), twice (b, heads, m, d) → (b, n, heads·d); `drop` acts on the weights."""
    weights = _weights(q, k)
    return _merged(matmul(weights if drop is None else drop(weights), v))


def fused_attention(q: Any, k: Any, v: Any, ignored: Any = None) -> Any:
    """As `plain_attention`, in one operation of Keras: on a GPU and in half precision JAX has cuDNN's flash attention.

    `ignored`: (b, m) bool, keys that are not attended to.
    """
    mask = None if ignored is None else ops.logical_not(ignored)[:, None, None, :]
    q, k, v = (ops.transpose(x, (0, 2, 1, 3)) for x in (q, k, v))
    attended = ops.dot_product_attention(q, k, v, mask=mask, scale=1.0)
    return rearrange(attended, "b n heads d -> b n (heads d)")


def chunked_attention(q: Any, k: Any, v: Any, chunk: int) -> Any:
    """As `plain_attention`, holding about `chunk` scores at a time (a few such arrays in the backward pass).

    Where the numbers of queries and keys are not static (in a function traced for any mask), it is the plain formula.
    """
    n, m = q.shape[2], k.shape[2]
    if n is None or m is None:
        return plain_attention(q, k, v)
    heads = math.prod(q.shape[:2]) if q.shape[0] is not None else q.shape[1]
    together = max(g for g in range(1, heads + 1) if heads % g == 0 and (g == 1 or g * n * m <= chunk))
    rows = math.ceil(n / math.ceil(n * m / chunk)) if together == 1 else n

    @ops.custom_gradient
    def attention(q: Any, k: Any, v: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
        shape = (*ops.shape(q)[:-1], v.shape[-1])
        # Kept in the layout in which it is used: the projection's gradient needs it too.
        attended = _merged(_over_heads(partial(_forward, rows=rows), (q, k, v), (shape,), together)[0])

        # PyTorch's backend passes the inputs again and `upstream` by name.
        def gradient(*inputs: Any, upstream: Any = None) -> tuple[Any, ...]:
            upstream = inputs[0] if upstream is None else upstream
            shapes = tuple(ops.shape(x) for x in (q, k, v))
            *again, late = after(upstream, q, k, v, attended)
            # softmax's gradient is w·(dw - Σ w·dw), and that sum is Σ upstream·attended.
            products = ops.cast(upstream, "float32") * ops.cast(late, "float32")
            total = ops.sum(_by_head(products, q.shape[1]), axis=-1, keepdims=True)
            inputs = (*again, _by_head(upstream, q.shape[1]), total)
            return _over_heads(partial(_backward, rows=rows), inputs, shapes, together)

        return attended, gradient

    return attention(q, k, v)


def _merged(attended: Any) -> Any:
    return rearrange(attended, "b heads n d -> b n (heads d)")


def _by_head(attended: Any, heads: int) -> Any:
    return rearrange(attended, "b n (heads d) -> b heads n d", heads=heads)


def _weights(q: Any, k: Any) -> Any:
    scores = matmul(q, ops.swapaxes(k, -1, -2))
    return ops.cast(ops.softmax(ops.cast(scores, "float32")), q.dtype)


def _over_heads(function: Any, inputs: tuple[Any, ...], shapes: tuple[Any, ...], together: int) -> tuple[Any, ...]:
    """`function` of `together` heads after the other, (b, heads, …) → tuple of (b, heads, …) of these `shapes`."""
    grouped = [ops.reshape(x, (-1, together, *x.shape[2:])) for x in inputs]
    if grouped[0].shape[0] == 1:
        made = tuple(ops.expand_dims(y, 0) for y in function(*(x[0] for x in grouped)))
    else:
        start = tuple(ops.zeros((together, *shape[2:]), inputs[0].dtype) for shape in shapes)
        made = _sequential(lambda i: function(*(x[i] for x in grouped)), ops.shape(grouped[0])[0], start)
    return tuple(ops.reshape(y, shape) for y, shape in zip(made, shapes, strict=True))


def _sequential(function: Any, count: Any, start: tuple[Any, ...]) -> tuple[Any, ...]:
    """Stacked results of `function(i)`, which are shaped as `start`, two at a time: more would not fit the cache."""

    def body(carry: Any, i: Any) -> tuple[Any, Any]:
        made = function(i)
        return made, made

    # TensorFlow's `scan` wants outputs shaped as what is carried on, so the outputs are carried on.
    return ops.scan(body, start, ops.arange(count, dtype="int32"), unroll=2)[1]


def _forward(q: Any, k: Any, v: Any, rows: int) -> tuple[Any, ...]:
    """(g, n, d), twice (g, m, d) → (g, n, d), `rows` queries at a time."""
    n = q.shape[1]
    if rows == n:
        return (matmul(_weights(q, k), v),)
    (padded,) = _padded((q,), rows)

    def part(i: Any, attended: Any) -> Any:
        made = matmul(_weights(_rows(padded, i, rows), k), v)
        return ops.slice_update(attended, (0, i * rows, 0), made)

    start = ops.zeros((*padded.shape[:2], v.shape[2]), q.dtype)
    return (ops.fori_loop(0, padded.shape[1] // rows, part, start)[:, :n],)


def _backward(q: Any, k: Any, v: Any, upstream: Any, total: Any, rows: int) -> tuple[Any, Any, Any]:
    """Gradients of q, k and v, `rows` queries at a time; `total` is Σ upstream·attended of each query, (g, n, 1)."""
    n = q.shape[1]
    # The total is subtracted inside the matrix product upstream·vᵀ, as more columns: another pass over the scores would
    # cost a fifth of the product. In half precision it has the rounding of `attended`, as in every fused attention.
    columns = _split(-total, upstream.dtype)
    upstream_and_total = ops.concatenate([upstream, *columns], axis=-1)
    v_and_ones = ops.concatenate([v, *[ops.ones_like(v[..., :1])] * len(columns)], axis=-1)
    if rows == n:
        return _gradients(q, k, v_and_ones, upstream, upstream_and_total)
    padded_q, padded_upstream, padded_total = _padded((q, upstream, upstream_and_total), rows)

    def part(i: Any, gradients: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        queries = (_rows(x, i, rows) for x in (padded_q, padded_upstream, padded_total))
        q_part, upstream_part, total_part = queries
        of_q, of_k, of_v = _gradients(q_part, k, v_and_ones, upstream_part, total_part)
        sums = [ops.cast(x, "float32") for x in (of_k, of_v)]
        return (
            ops.slice_update(gradients[0], (0, i * rows, 0), of_q),
            gradients[1] + sums[0],
            gradients[2] + sums[1],
        )

    start = (ops.zeros_like(padded_q), ops.zeros_like(k, "float32"), ops.zeros_like(v, "float32"))
    of_q, of_k, of_v = ops.fori_loop(0, padded_q.shape[1] // rows, part, start)
    return of_q[:, :n], ops.cast(of_k, k.dtype), ops.cast(of_v, v.dtype)


def _gradients(q: Any, k: Any, v_and_ones: Any, upstream: Any, upstream_and_total: Any) -> tuple[Any, Any, Any]:
    weights = _weights(q, k)
    of_scores = weights * matmul(upstream_and_total, ops.swapaxes(v_and_ones, -1, -2))
    return (
        matmul(of_scores, k),
        matmul(ops.swapaxes(of_scores, -1, -2), q),
        matmul(ops.swapaxes(weights, -1, -2), upstream),
    )


def _split(values: Any, dtype: Any) -> list[Any]:
    """float32 `values` as terms of a sum in `dtype`: one of float32, two of a half precision."""
    first = ops.cast(values, dtype)
    if dtype == "float32":
        return [first]
    return [first, ops.cast(values - ops.cast(first, "float32"), dtype)]


def _padded(arrays: tuple[Any, ...], rows: int) -> list[Any]:
    """Zeros after the last of the queries, up to a multiple of `rows`: they add nothing to any gradient."""
    missing = -arrays[0].shape[1] % rows
    return [ops.pad(x, ((0, 0), (0, missing), (0, 0))) for x in arrays]


def _rows(x: Any, i: Any, rows: int) -> Any:
    return ops.slice(x, (0, i * rows, 0), (x.shape[0], rows, x.shape[2]))
