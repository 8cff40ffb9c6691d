"""Views of the records that live elsewhere, each in a thread of its own: no run waits for one, or fails by it."""

import queue
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from mae.errors import one_line

QUEUED = 10_000  # actions that may wait for a view before it is given up
FINISH_TIMEOUT = 65.0  # seconds for what has not arrived at the end


class View(Protocol):
    """What shows the records of `metrics.jsonl` elsewhere. Its methods may raise anything and take any time."""

    def describe(self) -> str:
        """One line for the console: where it is to be seen."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Adds a record with its `step`; one that is there already is left out."""

    def log_picture(self, step: int, key: str, path: Path) -> None:
        """Adds a still (.png) or moving (.mp4, .gif) picture from a file."""

    def finish(self, exit_code: int) -> None:
        """Ends it: well for `exit_code` 0."""


Action = Callable[[View], None]


class Background:
    """A view that is opened, filled and closed in a thread.

    Args:
        name: of the view, for messages.
        start: opens it.
        say: gets the line that describes it once it is open.
        warn: gets the one line that says that it failed; what comes later is dropped.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], View],
        say: Callable[[str], None],
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self._name = name
        self._say = say
        self._warn = warn or _print_warning
        self._failed = threading.Event()
        self._actions: queue.Queue[Action | int] = queue.Queue(QUEUED)  # at the end the exit code
        # A daemon: a view that hangs cannot keep the process from ending.
        self._thread = threading.Thread(target=self._work, args=(start,), name=f"{name} view", daemon=True)
        self._thread.start()

    def send(self, action: Action) -> None:
        """Has something done with the view, after what was sent before. Returns at once."""
        self._put(action)

    def finish(self, exit_code: int, timeout_s: float = FINISH_TIMEOUT) -> None:
        """Ends the view once it has all that was sent. Waits so long for that at most."""
        self._put(exit_code)
        if self._failed.is_set():
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._give_up("did not finish", TimeoutError(f"not finished after {timeout_s:g} s"))

    def _put(self, action: Action | int) -> None:
        if self._failed.is_set():
            return
        try:
            self._actions.put_nowait(action)
        except queue.Full:
            self._give_up("stopped", TimeoutError(f"{QUEUED} records wait for it"))

    def _work(self, start: Callable[[], View]) -> None:
        doing = "did not start"
        # As broad as can be: a missing or broken install, no network, a refused key, a full disk, a
        # protocol error. None of them may cost a training run, and no library documents all that it raises.
        try:
            view = start()
            self._say(view.describe())
            doing = "stopped"
            while not isinstance(action := self._actions.get(), int):
                action(view)
            doing = "did not finish"
            view.finish(action)
        except Exception as error:
            self._give_up(doing, error)

    def _give_up(self, what: str, error: Exception) -> None:
        if self._failed.is_set():
            return
        self._failed.set()
        reason = one_line(error)[:200]
        self._warn(
            f"warning: {self._name} {what} ({type(error).__name__}: {reason}); training goes on with local files only"
        )


def _print_warning(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
