"""SIGINT and SIGTERM as a flag that is looked at after each step, and between the parts of a long evaluation."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from mae.errors import Interrupted

Check = Callable[[], None]  # called between the parts of what takes long; raises to give it up


class StopRequest:
    """Within its context, a first SIGINT or SIGTERM is noted in `signum`; a second one acts as usual."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        self._previous = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def check(self) -> None:
        """Raises `Interrupted` once a signal came."""
        if self.signum is not None:
            raise Interrupted(self.signum, "interrupted")

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


def never() -> None:
    """The `Check` of what a signal may end on the spot: before the first step there is nothing to save."""
