"""From an error to one line and an exit status, the same in every command."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mae.errors import ConfigError, Interrupted, TrainingStopped, one_line

EXIT_MISTAKE = 2
EXIT_STOPPED = 3
EXIT_SIGNAL = 128


@contextmanager
def exit_statuses() -> Iterator[None]:
    """Turns the errors of `mae.errors` into one line on stderr and the exit status of their kind.

    A SIGTERM outside the training loop, which has its own handling, ends the command the same way.
    """
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except ConfigError as error:
        _leave(f"error: {one_line(error)}", EXIT_MISTAKE)
    except TrainingStopped as error:
        _leave(f"stopped: {one_line(error)}", EXIT_STOPPED)
    except Interrupted as error:
        _leave(one_line(error), EXIT_SIGNAL + error.signum)
    except KeyboardInterrupt:
        _leave("interrupted; what was saved before is complete", EXIT_SIGNAL + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, previous)


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
