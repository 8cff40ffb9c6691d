"""Layer normalisation that keeps only its input for the backward pass."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from mae.models.linear import sum_of_rows


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
        scale, offset = (ops.cast(x, "float32") for x in (self.gamma, self.beta))
        return ops.reshape(normalised_rows(rows, scale, offset, self.epsilon), ops.shape(tokens))


def normalised_rows(rows: Any, scale: Any, offset: Any, epsilon: float) -> Any:
    """(x - mean) / √(variance + epsilon) · scale + offset of each row: (r, d), (d,), (d,) → (r, d)."""
    average = ops.full((rows.shape[1], 1), 1 / rows.shape[1], "float32")

    @ops.custom_gradient
    def norm(rows: Any, scale: Any, offset: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
        x = ops.cast(rows, "float32")
        mean = ops.matmul(x, average)
        centred = x - mean
        inverse = ops.rsqrt(ops.matmul(ops.square(centred), average) + epsilon)

        def gradient(*inputs: Any, upstream: Any = None) -> tuple[Any, ...]:
            # PyTorch's backend passes the inputs again and `upstream` by name.
            upstream = ops.cast(inputs[0] if upstream is None else upstream, "float32")
            normal = (ops.cast(rows, "float32") - mean) * inverse
            product = upstream * normal
            weighted = average * ops.expand_dims(scale, 1)
            of_mean, of_variance = ops.matmul(upstream, weighted), ops.matmul(product, weighted)
            of_rows = (upstream * scale - of_mean - normal * of_variance) * inverse
            return ops.cast(of_rows, rows.dtype), sum_of_rows(product), sum_of_rows(upstream)

        return ops.cast(centred * inverse * scale + offset, rows.dtype), gradient

    return norm(rows, scale, offset)
