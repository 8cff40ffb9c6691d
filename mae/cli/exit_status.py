"""From an error to one line and an exit status, the same in every command."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mae.errors import ConfigError, Interrupted, TrainingStopped, one_line
from mae.signals import handle, restore

EXIT_MISTAKE = 2
EXIT_STOPPED = 3
EXIT_SIGNAL = 128


@contextmanager
def exit_statuses() -> Iterator[None]:
    """Turns the errors of `mae.errors` into one line on stderr and the exit status of their kind.

    A SIGTERM or SIGHUP outside the training loop, which has its own handling, ends the command the same way. A SIGUSR1
    there is for nothing: before the first step there is nothing to save.
    """
    previous = handle(_terminate, (signal.SIGTERM, signal.SIGHUP)) | handle(_pass, (signal.SIGUSR1,))
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # as `end_on_interrupt` left it
        previous |= handle(signal.default_int_handler, (signal.SIGINT,))
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # a reader who left is found here, not when the interpreter ends
    except ConfigError as error:
        _leave(f"error: {one_line(error)}", EXIT_MISTAKE)
    except TrainingStopped as error:
        _leave(f"stopped: {one_line(error)}", EXIT_STOPPED)
    except Interrupted as error:
        _leave(one_line(error), EXIT_SIGNAL + error.signum)
    except KeyboardInterrupt:
        _leave("interrupted; what was saved before is complete", EXIT_SIGNAL + signal.SIGINT)
    finally:
        restore(previous)


def end_on_interrupt() -> None:
    """Has Ctrl-C end this process at once, without a traceback, until `exit_statuses` takes over.

    For the first line of a command: what it imports takes seconds.
    """
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _pass(_signum: int, _frame: FrameType | None) -> None:
    """Does nothing."""


def _terminate(signum: int, _frame: FrameType | None) -> None:
    raise Interrupted(signum, "terminated; what was saved before is complete")


def _leave(message: str, status: int) -> None:
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        text = Text(message)
        text.highlight_regex("^(error|stopped):", "bold red")
        Console(stderr=True, soft_wrap=True).print(text)
    else:
        print(message, file=sys.stderr, flush=True)
    sys.exit(status)
