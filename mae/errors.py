"""The errors a command turns into an exit status (see `mae.cli.exit_status`), and what their messages are made of."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

_SHOWN = 80  # characters of a value in a message
_ADVICE = re.compile("allow_pickle|unsafe|safe_mode", re.IGNORECASE)


class ConfigError(ValueError):
    """A mistake in the command, the config or the data list: exit status 2, one line, no traceback."""


class UnusedDevice(ConfigError):
    """A device of this machine cannot be computed on, and nobody said that it is not meant to be."""


class TrainingStopped(RuntimeError):
    """Training cannot go on (non-finite loss, too many bad videos): exit status 3, last checkpoint kept."""


class Interrupted(RuntimeError):
    """A signal ended the run after its state was saved: exit status 128 + `signum`."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class BadVideo(Exception):
    """One video file gives no clip; `str(error)` is the reason written to `bad_videos.csv`."""


def unknown_name(what: str, name: str, choices: Iterable[str]) -> ConfigError:
    """The error for a name that is not among `choices`, with the nearest one and the list."""
    choices = list(choices)
    # Only of what can be a name: comparing takes the square of its length.
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5) if _is_short_text(name) else []
    hint = f"; did you mean {near[0]!r}?" if near else ""
    # A long list would hide the hint.
    rest = f" There are: {', '.join(choices)}" if len(choices) <= 12 or not near else ""
    return ConfigError(f"{what} {shown(name)} does not exist{hint or '.'}{rest}")


def check_choice(what: str, name: str, choices: Iterable[str]) -> None:
    """Raises the error of `unknown_name` unless `name` is one of `choices`."""
    choices = list(choices)
    if not isinstance(name, str) or name not in choices:
        raise unknown_name(what, name, choices)


def check_at_least(smallest: int, settings: object, *names: str, prefix: str = "") -> None:
    """Raises `ConfigError` unless each of these attributes of `settings` is None or no less than `smallest`.

    `prefix` is what stands before the names where a user gives them, as `data.`.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and value < smallest:
            raise ConfigError(f"{prefix}{name}={value} must be at least {smallest}")


def some(names: Sequence[str], shown: int, none: str = "none") -> str:
    """The first `shown` names and how many more there are, or `none` where there is no name."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return (", ".join(names[:shown]) or none) + more


def shown(value: Any) -> str:
    """A value from a file as a message shows it, in at most about 100 characters.

    Of what holds other values only the kind is told: a few bytes can be tuples of tuples that no memory can spell out.
    """
    if isinstance(value, str | bytes):
        return repr(value) if _is_short_text(value) else f"{value[:_SHOWN]!r} … ({len(value)} long)"
    if isinstance(value, int) and value.bit_length() > 4 * _SHOWN:
        return f"a whole number of {value.bit_length()} bits"
    if value is None or isinstance(value, bool | int | float | complex):
        return repr(value)
    if isinstance(value, list | tuple | dict | set) and not value:
        return repr(value)
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, list | tuple | dict | set) else "")


def _is_short_text(value: Any) -> bool:
    return isinstance(value, str | bytes) and len(value) <= _SHOWN


def one_line(error: BaseException | str) -> str:
    """The message of an error, which a library may have written over many lines."""
    return " ".join(str(error).split())


def library_reason(error: BaseException) -> str:
    """What a library says of a file it cannot read, on one line, without its advice to run what the file holds.

    NumPy takes whatever is no array for pickled objects, and tells how to run them; Keras has such advice too.
    """
    text = one_line(error)
    return "it is no file of plain arrays" if _ADVICE.search(text) else text
