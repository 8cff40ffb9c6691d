"""How much a pickle may ask for: steps, bytes, copies. Counted, not timed: every machine refuses the same files."""

import os
from typing import Any, BinaryIO

from mae.errors import ConfigError

MAX_STEPS = 500_000  # opcodes; a model of 700 tensors with an optimizer's state has some 100 000
MAX_BYTES = 16 << 20  # of one pickle, storages not counted
MAX_ITEMS = 10_000_000  # characters and elements that calls take, all together
# Tensors that are not contiguous are copied, and may repeat their storage (stride 0): bytes of the copies, all
# together, to bytes of the storages; and what is free.
MAX_COPIES, FREE_COPIES = 4, 64 << 20


class Budget:
    """What the rest of a file may still ask for."""

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._items = MAX_ITEMS
        self._copies = FREE_COPIES

    def step(self) -> None:
        """Counts an opcode."""
        self._steps -= 1
        if self._steps < 0:
            raise ConfigError(f"its pickle has more than {MAX_STEPS} steps, which no model has")

    def take(self, *arguments: Any) -> None:
        """Counts the length of what a call is given."""
        self._items -= sum(
            len(value) for value in arguments if isinstance(value, str | bytes | list | tuple | dict | set)
        )
        if self._items < 0:
            raise ConfigError(f"its pickle copies more than {MAX_ITEMS} values, which no model does")

    def stored(self, size: int) -> None:
        """Counts a storage of so many bytes, which allows for copies."""
        self._copies += MAX_COPIES * size

    def copy(self, size: int) -> None:
        """Counts a tensor of so many bytes that is not just a view."""
        self._copies -= size
        if self._copies < 0:
            raise ConfigError(f"its tensors are more than {MAX_COPIES} times as large as what is stored of them")


class Bounded:
    """A file that gives no more bytes than a pickle may have, and asks for no memory for what is not there."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        start = file.tell()
        self._left = min(file.seek(0, os.SEEK_END) - start, MAX_BYTES)
        file.seek(start)

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        self._left -= count
        if self._left < 0:
            raise ConfigError(f"its pickle is damaged: it asks for {count} bytes that are not there")
        return self._file.read(count)

    def readline(self) -> bytes:
        """As many bytes as there are up to the end of a line."""
        line = self._file.readline(self._left)
        self._left -= len(line)
        return line
