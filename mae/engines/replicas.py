"""What an update needs from the devices it is made on, each of which computes a share of the batch."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras


class Replicas(Protocol):
    """The copies of a model that are updated together."""

    def total(self, values: Sequence[Any]) -> list[Any]:
        """Each value, added up over the replicas; called by all of them."""

    def choose(
        self,
        condition: Any,
        action: Callable[..., None],
        otherwise: Callable[[], None],
        arguments: Any,
        variables: Sequence[keras.Variable],
    ) -> None:
        """`action(arguments)` on all replicas where the condition, a tensor, holds; else `otherwise()`.

        Either assigns to Keras variables, and to no others than `variables`.
        """
