"""Functions that read and assign Keras variables, as functions of values: what JAX can compile."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras

Values = list[jax.Array]


class Variables:
    """Keras variables in a fixed order, and their values as a list in that order."""

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self.variables = list(variables)
        self._index_of = {id(variable): i for i, variable in enumerate(self.variables)}

    def read(self) -> Values:
        return [variable.value for variable in self.variables]

    def write(self, values: Values) -> None:
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def scope(self, values: Values) -> keras.StatelessScope:
        """Within it the variables have these values, and what is assigned to them stays inside."""
        return keras.StatelessScope(zip(self.variables, values, strict=True))

    def values_in(self, scope: keras.StatelessScope) -> Values:
        """The values at the end of a scope."""
        return [scope.get_current_value(variable) for variable in self.variables]

    def of(self, some: Sequence[keras.Variable], values: Values) -> Values:
        """The values of some of the variables."""
        return [values[self._index_of[id(variable)]] for variable in some]

    def replaced(self, values: Values, some: Sequence[keras.Variable], by: Values) -> Values:
        """The values, those of some variables replaced."""
        made = list(values)
        for variable, value in zip(some, by, strict=True):
            made[self._index_of[id(variable)]] = value
        return made


def values_after(action: Callable[[], Any], variables: Sequence[keras.Variable]) -> Values:
    """What `action` would make of the variables, which keep their values."""
    before = Variables(variables)
    with before.scope(before.read()) as scope:
        action()
    return before.values_in(scope)
