"""A call that is given up after a while."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

LOOK_EVERY_S = 1.0  # for signals that came just before a wait began, which they do not end


def within(seconds: float, function: Callable[[], Result]) -> Result:
    """Calls a function in another thread; what it raises is raised here.

    A thread cannot be stopped: one whose call takes too long is left alone, does not keep the process from ending,
    and ends when its call does. The others are used again.

    Raises:
        TimeoutError: no result in time.
    """
    return _idle_caller().call(function, seconds)


def _idle_caller() -> "_Caller":
    while True:
        try:
            caller = _idle.get_nowait()
        except queue.Empty:
            return _Caller()
        if caller.is_alive():  # the threads of a forked process stay behind in its parent
            return caller


class _Caller:
    """A thread that makes one call at a time."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True, name="time limit")
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def call(self, function: Callable[[], Any], seconds: float) -> Any:
        try:
            self._calls.put(function)
            result, error = self._outcome(seconds)
        except BaseException as interruption:  # Control-C as well: its outcome must not answer the next call
            self._calls.put(None)  # its last
            if isinstance(interruption, queue.Empty):
                raise TimeoutError(f"no result within {seconds:g} s") from None
            raise
        _idle.put(self)
        try:
            if error is not None:
                raise error
            return result
        finally:
            del error  # its traceback holds this frame, and the frames of a video: no waiting for the cycle collector

    def _outcome(self, seconds: float) -> tuple[Any, BaseException | None]:
        """What the call has come to; raises `queue.Empty` where it takes longer."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self._outcomes.get(timeout=max(min(end - time.monotonic(), LOOK_EVERY_S), 0))
            except queue.Empty:
                if time.monotonic() >= end:
                    raise

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
