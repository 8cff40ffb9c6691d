"""An exponential moving average of the weights (EMA): often the better model, at no cost for the training itself."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import keras
from keras import ops

from mae.checkpoints.run_state import AVERAGE


class WeightAverage:
    """Float32 averages e of all trainable weights w; after each update e ← e + (1 − decay)·(w − e)."""

    def __init__(self, weights: Sequence[keras.Variable], decay: float) -> None:
        """Begins with the present values. Made inside the engine's scope, once the model is built."""
        self._decay = decay
        self._weights = weights
        self.variables = [_average_of(weight) for weight in self._weights]
        self.restart()

    def restart(self) -> None:
        """Begins again with the present weights: after they were loaded from elsewhere."""
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign(weight)

    def update(self) -> None:
        """After an update of the weights."""
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign_add((ops.cast(weight, average.dtype) - average) * (1 - self._decay))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the model computes with the averages; afterwards it has its own weights again, bit for bit."""
        kept = [ops.copy(weight) for weight in self._weights]
        try:
            for weight, average in zip(self._weights, self.variables, strict=True):
                weight.assign(average)
            yield
        finally:
            for weight, value in zip(self._weights, kept, strict=True):
                weight.assign(value)


def _average_of(weight: keras.Variable) -> keras.Variable:
    *scopes, name = (AVERAGE + weight.path).split("/")
    with ExitStack() as stack:
        for scope in scopes:
            stack.enter_context(keras.name_scope(scope))
        return keras.Variable(
            shape=weight.shape, initializer="zeros", dtype="float32", trainable=False, aggregation="none", name=name
        )
