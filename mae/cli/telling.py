"""What a run tells the person who started it is printed here, so that a program in Python can have it quiet."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_silences = 0  # that this process is in; threads of a run are in them as well


def tell(text: str, file: TextIO | None = None) -> None:
    """Prints a line, or several, at once; nothing within `silence`.

    Args:
        file: None: standard output.
    """
    if not is_silent():
        print(text, file=file, flush=True)


def is_silent() -> bool:
    """Whether nothing is told."""
    return _silences > 0


@contextmanager
def silence() -> Iterator[None]:
    """Within it nothing is told; what others print is left alone."""
    global _silences
    _silences += 1
    try:
        yield
    finally:
        _silences -= 1
