"""How a setting that is text is written on a command line, the same in every command.

It is taken as typed, whatever it looks like: `run_dir=2024_1_12`, `video=a, b=c.mp4`. In quotes from end to end it is
what stands between them, so that `'"null"'` is the word, where `null` means none.
"""

import re
from typing import Any

_QUOTED = re.compile(r"""(?P<quote>['"])(?P<text>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)""", re.DOTALL)
_PIECE = re.compile(rf"{_QUOTED.pattern}|\$\{{|.", re.DOTALL)

NONE = "null"


def unquoted(value: str) -> str:
    """The text that is meant by a value; inside quotes, a backslash before a quote stands for the quote alone."""
    match = _QUOTED.fullmatch(value)
    if match is None:
        return value
    quote = match["quote"]
    # As Hydra does it: of the backslashes before a quote, two are one; elsewhere each is one.
    return re.sub(rf"(\\+)({quote}|\Z)", lambda found: "\\" * (len(found[1]) // 2) + found[2], match["text"])


def quoted(text: str) -> str:
    """The text in single quotes, from which `unquoted` gives it back."""
    doubled = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + (r"\'" if found[2] else ""), text)
    return f"'{doubled}'"


def setting(key: str, text: str) -> str:
    """`key=value` for a text; in quotes only where it would be taken for something else without."""
    return f"{key}={text if unquoted(text) == text != NONE else quoted(text)}"


def hydra_setting(key: str, value: Any) -> str:
    """`key=value` for any value and a command of Hydra's: commas separate nothing in a sweep, `${` is no reference."""
    if isinstance(value, list | tuple):
        return f"{key}=[{','.join(map(_element, value))}]"
    if not isinstance(value, str):
        return f"{key}={NONE if value is None else str(value).lower()}"
    return f"{key}={literal(value)}" if "," in value else setting(key, _without_references(value))


def literal(text: str) -> str:
    """The text in quotes, for a command of Hydra's."""
    return quoted(_without_references(text))


def _without_references(text: str) -> str:
    return text.replace("${", r"\${")


def _element(value: Any) -> str:
    """One of a list's values."""
    return literal(value) if isinstance(value, str) else hydra_setting("", value).removeprefix("=")


def swept(values: str) -> list[str]:
    """What the commas of a sweep separate; those in quotes, and in `${…}`, separate nothing."""
    found, depth = [""], 0
    for piece in (match[0] for match in _PIECE.finditer(values)):
        depth += (piece == "${") - (piece == "}" and depth > 0)
        if piece == "," and not depth:
            found.append("")
        else:
            found[-1] += piece
    return [value.strip() for value in found]
