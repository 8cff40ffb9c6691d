"""Long evaluations: what they tell meanwhile, and how a signal ends them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mae.cli.telling import tell
from mae.errors import Interrupted
from mae.signals import StopRequest

_TELL_EVERY = 20.0  # seconds


@contextmanager
def interruptible(verb: str, unit: str, folder: Path) -> Iterator[Callable[[int, int], None]]:
    """Gives the function to call after every batch, with what is done and what there is in all.

    Args:
        verb, unit: as "tested" and "views", for the console.
        folder: where that lies which an interrupted evaluation goes on from.

    Raises:
        Interrupted: in that function, after SIGINT or SIGTERM.
    """
    told = time.monotonic()
    with StopRequest() as stop:

        def check(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told > _TELL_EVERY:
                told = time.monotonic()
                tell(f"{verb} {done} of {total} {unit}")
            if stop.signum is not None and done < total:
                raise Interrupted(
                    stop.signum,
                    f"interrupted after {done} of {total} {unit}; the same command goes on from there ({folder})",
                )

        yield check
