"""A call that is given up after a while."""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


def within(seconds: float, function: Callable[[], Result]) -> Result:
    """Calls a function in another thread; what it raises is raised here.

    A thread cannot be stopped: one whose call takes too long is left alone, does not keep the process from ending,
    and ends when its call does. The others are used again.

    Raises:
        TimeoutError: no result in time.
    """
    try:
        caller = _idle.get_nowait()
    except queue.Empty:
        caller = _Caller()
    return caller.call(function, seconds)


class _Caller:
    """A thread that makes one call at a time."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True, name="time limit").start()

    def call(self, function: Callable[[], Any], seconds: float) -> Any:
        self._calls.put(function)
        try:
            result, error = self._outcomes.get(timeout=seconds)
        except queue.Empty:
            self._calls.put(None)  # its last
            raise TimeoutError(f"no result within {seconds:g} s") from None
        _idle.put(self)
        if error is not None:
            raise error
        return result

    def _run(self) -> None:
        while (function := self._calls.get()) is not None:
            outcome: tuple[Any, BaseException | None]
            try:
                outcome = function(), None
            except BaseException as error:
                outcome = None, error
            self._outcomes.put(outcome)
            del function, outcome  # an idle thread holds no frames


_idle: queue.SimpleQueue[_Caller] = queue.SimpleQueue()
