"""Columns of lists that are too long for Python objects: sequences whose values are made when they are asked for."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

import numpy as np

from mae.data.lists.places import located

Value = TypeVar("Value", covariant=True)
Other = TypeVar("Other")

_AT_ONCE = 1 << 16  # values made together where a column is gone through


class Column(Sequence[Value]):
    """One value for each video of a list. `np.asarray` gives those of numbers without a Python object for each."""

    @abstractmethod
    def take(self, indices: np.ndarray) -> "Column[Value]":
        """The values at these places, in their order."""

    @abstractmethod
    def value(self, index: int) -> Value:
        """That of a place from 0."""

    def values(self, first: int, end: int) -> Sequence[Value]:
        """Those from a place on, up to another one."""
        return [self.value(index) for index in range(first, end)]

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Value, ...]: ...
    def __getitem__(self, index: int | slice) -> Value | tuple[Value, ...]:
        if isinstance(index, slice):
            return tuple(self.value(place) for place in range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"{index} of {len(self)} values")
        return self.value(index % len(self))

    def __iter__(self) -> Iterator[Value]:
        for first in range(0, len(self), _AT_ONCE):
            yield from self.values(first, min(first + _AT_ONCE, len(self)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Column | tuple)
            and len(self) == len(other)
            and all(own == others for own, others in zip(self, other, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]


class Numbers(Column[int]):
    """(n,) whole numbers."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def value(self, index: int) -> int:
        return int(self._array[index])

    def values(self, first: int, end: int) -> Sequence[int]:
        return self._array[first:end].tolist()

    def take(self, indices: np.ndarray) -> "Numbers":
        return Numbers(self._array[indices])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype, copy=copy)


class Rows(Column[Any]):
    """(n, k) numbers: a tuple of k for each video, or None where they are not numbers."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def value(self, index: int) -> tuple[float, ...] | None:
        return self.values(index, index + 1)[0]

    def values(self, first: int, end: int) -> Sequence[tuple[float, ...] | None]:
        return [None if row[0] != row[0] else tuple(row) for row in self._array[first:end].tolist()]

    def take(self, indices: np.ndarray) -> "Rows":
        return Rows(self._array[indices])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype, copy=copy)


class Coded(Column[Value]):
    """Few different values, and which of them each video has."""

    def __init__(self, choices: Sequence[Value], codes: np.ndarray) -> None:
        self.choices = choices
        self.codes = codes  # (n,)

    def __len__(self) -> int:
        return len(self.codes)

    def value(self, index: int) -> Value:
        return self.choices[self.codes[index]]

    def values(self, first: int, end: int) -> Sequence[Value]:
        return [self.choices[code] for code in self.codes[first:end].tolist()]

    def take(self, indices: np.ndarray) -> "Coded[Value]":
        return Coded(self.choices, self.codes[indices])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.choices, dtype)[self.codes]


class Mapped(Column[Value]):
    """What a function makes of the values of another column."""

    def __init__(self, function: Callable[[Any], Value], column: Column[Any]) -> None:
        self._function = function
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def value(self, index: int) -> Value:
        return self._function(self._column.value(index))

    def values(self, first: int, end: int) -> Sequence[Value]:
        return [*map(self._function, self._column.values(first, end))]

    def take(self, indices: np.ndarray) -> "Mapped[Value]":
        return Mapped(self._function, self._column.take(indices))


class Paths(Column[str]):
    """Where the videos are: what a list writes, in Arrow's memory, and what it is relative to.

    Args:
        base: folder or address.
        written: a `pyarrow.ChunkedArray` of text.
        ending: what stands behind each, as a pattern of frames.
    """

    def __init__(self, base: str, written: Any, ending: str = "") -> None:
        self.base = base
        self.written = written
        self.ending = ending

    def __len__(self) -> int:
        return len(self.written)

    def value(self, index: int) -> str:
        return located(self.base, self.written[index].as_py()) + self.ending

    def values(self, first: int, end: int) -> Sequence[str]:
        return [located(self.base, text) + self.ending for text in self.texts(first, end)]

    def texts(self, first: int, end: int) -> np.ndarray:
        """Those of some videos as they are written, (k,) str."""
        return self.written.slice(first, end - first).to_numpy()

    def take(self, indices: np.ndarray) -> "Paths":
        return Paths(self.base, self.written.take(indices), self.ending)


def mapped(function: Callable[[Any], Other], column: Sequence[Any]) -> Sequence[Other]:
    """What a function makes of each value: a column of a column, a tuple of a tuple."""
    if isinstance(column, Coded):
        return Coded([*map(function, column.choices)], column.codes)
    if isinstance(column, Numbers):
        choices, codes = np.unique(np.asarray(column), return_inverse=True)
        return Coded([*map(function, choices.tolist())], codes.astype(np.int32))
    return Mapped(function, column) if isinstance(column, Column) else tuple(map(function, column))


def distinct(column: Sequence[Value]) -> Sequence[Value]:
    """The values that a column has, some of them perhaps several times."""
    if isinstance(column, Coded):
        return [column.choices[code] for code in np.flatnonzero(np.bincount(column.codes)).tolist()]
    return column


def taken(column: Sequence[Value], indices: Sequence[int]) -> Sequence[Value]:
    """The values at these places: a column of a column, a tuple of a tuple."""
    if isinstance(column, Column):
        return column.take(np.asarray(indices, np.int64))
    return tuple(column[index] for index in indices)


def repeats(paths: Sequence[str], others: Sequence[Sequence[Any]]) -> tuple[np.ndarray, np.ndarray]:
    """The places of all videos that have the path and what `others` say in common with another one, ascending.

    With them goes a number for each, (k,), the same for those that are the same. Millions of paths are told apart by
    hashes of 8 bytes, a set of them would take gigabytes: of ten million, two that differ have the same one in one list
    of some 300,000.
    """
    if isinstance(paths, Paths):
        keys = _hashes(paths, others)
    else:
        numbers: dict[Any, int] = {}
        entries = zip(paths, *others, strict=True)
        keys = np.array([numbers.setdefault(entry, len(numbers)) for entry in entries], np.int64)
    ascending = np.sort(keys)
    repeated = np.unique(ascending[1:][ascending[1:] == ascending[:-1]])
    places = np.flatnonzero(np.isin(keys, repeated)) if len(repeated) else np.empty(0, np.int64)
    return places, np.searchsorted(repeated, keys[places])


def _hashes(paths: Paths, others: Sequence[Sequence[Any]]) -> np.ndarray:
    """(n,) int64 of each path and what `others` say of it."""
    count = len(paths)
    hashes = np.empty(count, np.int64)
    for first in range(0, count, _AT_ONCE):
        end = min(first + _AT_ONCE, count)
        texts = paths.texts(first, end).tolist()
        told = [column.values(first, end) if isinstance(column, Column) else column[first:end] for column in others]
        hashes[first:end] = [*map(hash, zip(texts, *told, strict=True) if told else texts)]
    return hashes
