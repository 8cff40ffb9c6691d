"""Layer normalisation that keeps only its input for the backward pass."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from mae.models.lean.linear import linear, sum_of_rows
from mae.models.lean.one_pass import one_pass
from mae.models.lean.order import after
from mae.models.lean.product import matmul


class LayerNorm(keras.layers.LayerNormalization):
    """Keras' layer over the last axis, in float32 whatever the dtype, with a gradient of its own.

    Its values and gradients are those of the formula; what is kept is the input and two numbers a token, and sums run
    as matrix products, which on a CPU take half the time of reductions. `lean=False` computes as Keras does.
    """

    def __init__(self, lean: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lean = lean

    def call(self, tokens: Any) -> Any:
        """(…, d) → (…, d)."""
        if not self.lean:
            return super().call(tokens)
        rows = ops.reshape(tokens, (-1, tokens.shape[-1]))
        return ops.reshape(normalised_rows(rows, *self._weights(), self.epsilon), ops.shape(tokens))

    def then_linear(self, tokens: Any, kernel: Any, bias: Any) -> Any:
        """`linear` of the normalised tokens, which are not kept: (…, d), (d, e), (e,) → (…, e)."""
        rows = ops.reshape(tokens, (-1, tokens.shape[-1]))
        if self.lean:
            made = normalised_linear(rows, *self._weights(), kernel, bias, self.epsilon)
        else:
            made = linear(super().call(rows), kernel, bias, lean=False)
        return ops.reshape(made, (*ops.shape(tokens)[:-1], kernel.shape[1]))

    def _weights(self) -> tuple[Any, Any]:
        return ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32")


def normalised_rows(rows: Any, scale: Any, offset: Any, epsilon: float) -> Any:
    """(x - mean) / √(variance + epsilon) · scale + offset of each row: (r, d), (d,), (d,) → (r, d)."""

    @ops.custom_gradient
    def norm(rows: Any, scale: Any, offset: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
        normalised, *statistics = _normalise(rows, scale, offset, epsilon=epsilon)

        def gradient(*inputs: Any, upstream: Any = None) -> tuple[Any, ...]:
            # PyTorch's backend passes the inputs again and `upstream` by name.
            upstream = inputs[0] if upstream is None else upstream
            return _gradients(after(upstream, rows), *statistics, scale, upstream)

        return normalised, gradient

    return norm(rows, scale, offset)


def normalised_linear(rows: Any, scale: Any, offset: Any, kernel: Any, bias: Any, epsilon: float) -> Any:
    """normalised_rows·kernel + bias: (r, d), (d,), (d,), (d, e), (e,) → (r, e).

    Only `rows` and two numbers of each are kept: the backward pass normalises them again.
    """

    @ops.custom_gradient
    def product(
        rows: Any, scale: Any, offset: Any, kernel: Any, bias: Any
    ) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
        normalised, *statistics = _normalise(rows, scale, offset, epsilon=epsilon)

        def gradient(*inputs: Any, upstream: Any = None) -> tuple[Any, ...]:
            upstream = inputs[0] if upstream is None else upstream
            again = after(upstream, rows)
            normalised = _normalise_again(again, *statistics, scale, offset)
            # Not `times_transposed`: what that copies of the decoder's head would be the peak of a step's memory.
            of_normalised = matmul(upstream, ops.transpose(kernel))
            of_kernel = matmul(ops.transpose(normalised), upstream)
            return *_gradients(again, *statistics, scale, of_normalised), of_kernel, sum_of_rows(upstream)

        return matmul(normalised, kernel) + bias, gradient

    return product(rows, scale, offset, kernel, bias)


@one_pass
def _normalise(rows: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Normalised rows in the dtype of `rows`; in float32 the mean and 1/√(variance + epsilon) of each row, (r, 1)."""
    average = _average(rows)
    x = ops.cast(rows, "float32")
    mean = ops.matmul(x, average)
    centred = x - mean
    inverse = ops.rsqrt(ops.matmul(ops.square(centred), average) + epsilon)
    return ops.cast(centred * inverse * scale + offset, rows.dtype), mean, inverse


@one_pass
def _normalise_again(rows: Any, mean: Any, inverse: Any, scale: Any, offset: Any) -> Any:
    return ops.cast(_standardised(rows, mean, inverse) * scale + offset, rows.dtype)


@one_pass
def _gradients(rows: Any, mean: Any, inverse: Any, scale: Any, upstream: Any) -> tuple[Any, Any, Any]:
    """Of rows (in their dtype), scale and offset."""
    normal = _standardised(rows, mean, inverse)
    upstream = ops.cast(upstream, "float32")
    product = upstream * normal
    weighted = _average(rows) * ops.expand_dims(scale, 1)
    of_mean, of_variance = ops.matmul(upstream, weighted), ops.matmul(product, weighted)
    of_rows = (upstream * scale - of_mean - normal * of_variance) * inverse
    return ops.cast(of_rows, rows.dtype), sum_of_rows(product), sum_of_rows(upstream)


def _standardised(rows: Any, mean: Any, inverse: Any) -> Any:
    return (ops.cast(rows, "float32") - mean) * inverse


def _average(rows: Any) -> Any:
    """(d, 1): a matrix product with it gives the mean of each row."""
    return ops.full((rows.shape[1], 1), 1 / rows.shape[1], "float32")
