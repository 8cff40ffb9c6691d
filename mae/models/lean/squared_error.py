"""The error of predicted patches, of which the difference alone is kept for the backward pass."""

from collections.abc import Callable
from typing import Any

from keras import ops


def squared_errors(predicted: Any, expected: Any, lean: bool = True) -> Any:
    """Mean squared error of each patch, in float32: (b, m, p) twice → (b, m).

    With `lean` its own gradient: differentiating the formula spreads the gradient of the mean over a patch's values
    before the forward pass is over, and each of its arrays is as large as the prediction.
    """
    if not lean:
        return ops.mean(ops.square(ops.cast(predicted, "float32") - expected), axis=2)

    @ops.custom_gradient
    def errors(predicted: Any, expected: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
        difference = ops.cast(predicted, "float32") - expected

        def gradient(*inputs: Any, upstream: Any = None) -> tuple[Any, Any]:
            # PyTorch's backend passes the inputs again and `upstream` by name.
            upstream = inputs[0] if upstream is None else upstream
            share = ops.expand_dims(upstream * (2 / difference.shape[2]), 2)
            of_predicted = difference * share
            return ops.cast(of_predicted, predicted.dtype), ops.cast(-of_predicted, expected.dtype)

        return ops.mean(ops.square(difference), axis=2), gradient

    return errors(predicted, expected)
