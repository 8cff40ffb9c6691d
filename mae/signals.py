"""The signals that end a run, or have it saved, as a flag that is looked at after each step and within evaluations."""

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

from mae.errors import Interrupted

Check = Callable[[], None]  # called between the parts of what takes long; raises to give it up

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAVING = signal.SIGUSR1  # what Slurm sends before the limit: `sbatch --signal=USR1@120`


class StopRequest:
    """Within its context, a first signal of `ENDING` is noted in `signum`; a second one acts as usual.

    SIGUSR1 is noted as well: as one that ends, or, with `saves`, as one after which the work is saved and goes on.
    """

    def __init__(self, ends: tuple[int, ...] = ENDING, saves: bool = False) -> None:
        self.signum: int | None = None  # of one that ends
        self._ends, self._saves = ends, saves
        self._is_to_save = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        self._previous = handle(self._note, (*self._ends, SAVING) if self._saves else self._ends)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @property
    def noted(self) -> int | None:
        """The signal that others are to be told of: one that ends, or else one to save."""
        return self.signum or (SAVING if self._is_to_save else None)

    def split(self, agreed: int | None) -> tuple[int | None, bool]:
        """The signal to end for, and whether to save and go on, of what all agreed on; the latter is then done with."""
        if agreed != SAVING or not self._saves:
            return agreed, False
        self._is_to_save = False
        return None, True

    def check(self) -> None:
        """Raises `Interrupted` once a signal came that ends."""
        if self.signum is not None:
            raise Interrupted(self.signum, "interrupted")

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if self._saves and signum == SAVING:
            self._is_to_save = True
            return
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        restore(self._previous)
        self._previous = {}


def handle(handler: Callable[[int, FrameType | None], Any], numbers: Sequence[int]) -> dict[int, Any]:
    """Has a function called for these signals; returns what was called before, for `restore`.

    A SIGHUP that is ignored stays so: `nohup` means that. In another thread than the main one, where no signal is
    handled, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return {n: signal.signal(n, handler) for n in numbers if not (n == signal.SIGHUP and ignored)}


def restore(previous: Mapping[int, Any]) -> None:
    """Undoes `handle`."""
    for number, handler in previous.items():
        signal.signal(number, handler)


def never() -> None:
    """The `Check` of what a signal may end on the spot: before the first step there is nothing to save."""
