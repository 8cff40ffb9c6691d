"""Some rows of an array that may be larger than the memory."""

from typing import Any

import numpy as np


class Rows:
    """Rows of a memory-mapped array, read when they are asked for.

    Args:
        array: (n, …).
        places: (k,) which rows, in the order wanted.
    """

    def __init__(self, array: np.ndarray, places: np.ndarray) -> None:
        self._array = array
        self._places = places

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._places), *self._array.shape[1:])

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: Any) -> np.ndarray:
        """What a slice or an array of places among these rows gives."""
        return np.asarray(self._array[self._places[key]])
