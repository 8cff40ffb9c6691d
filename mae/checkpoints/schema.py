"""What a value in a file may be: one rule a field, in every format, and one sentence where it is something else."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mae.errors import ConfigError, shown

MAX_TENSORS = 20_000  # in one file; the largest released model has 700, and three times as many with an optimizer's
MAX_NAME = 1000  # characters of a tensor's name
MAX_JSON = 4 << 20  # bytes; 700 tensors take 100 kB, 20 000 class names a megabyte
_MAX_CLASSES = 100_000


@dataclass(frozen=True)
class Rule:
    """Which values are allowed; `text` ends the sentence "it may hold …"."""

    text: str
    allows: Callable[[Any], bool]


def whole(low: int, high: int) -> Rule:
    """A whole number, written as one, within a range."""
    return Rule(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


def above_zero(high: float) -> Rule:
    """A number above 0 and within a range; neither infinite nor no number (NaN)."""
    return Rule(f"a number above 0, at most {high:g}", lambda value: type(value) in (int, float) and 0 < value <= high)


def share() -> Rule:
    """A number from 0 to 1."""
    return Rule("a number from 0 to 1", lambda value: type(value) in (int, float) and 0 <= value <= 1)


def text(longest: int = MAX_NAME) -> Rule:
    """Text of bounded length."""
    return Rule(f"text of up to {longest} characters", lambda value: isinstance(value, str) and len(value) <= longest)


def table(largest: int = MAX_TENSORS) -> Rule:
    """A JSON object, or what stands for one."""
    return Rule(f"a table of up to {largest} names", lambda value: isinstance(value, Mapping) and len(value) <= largest)


def listing(rule: Rule, most: int, least: int = 0) -> Rule:
    """A list whose every value is allowed."""
    count = f"{least}" if least == most else f"up to {most}"
    return Rule(
        f"a list of {count}, each {rule.text}",
        lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(rule.allows, value)),
    )


def optional(rule: Rule) -> Rule:
    """That, or null."""
    return Rule(f"{rule.text}, or null", lambda value: value is None or rule.allows(value))


def one_or_equal(rule: Rule) -> Rule:
    """One value, or a short list that repeats it, as sizes of squares are written."""

    several = listing(rule, 3, 1)
    return Rule(
        f"{rule.text}, or a list of up to 3 equal ones",
        lambda value: rule.allows(value) or (several.allows(value) and len(set(value)) == 1),
    )


def one_or_pair(rule: Rule) -> Rule:
    """One value, or a list of height and width, or one that repeats the value."""
    equal, pair = one_or_equal(rule), listing(rule, 2, 2)
    return Rule(f"{rule.text}, or a list of height and width", lambda value: equal.allows(value) or pair.allows(value))


# Printable: a name is shown as it is, and could otherwise write what it likes to a terminal.
_NAME = Rule(
    f"printable text of up to {MAX_NAME} characters",
    lambda value: isinstance(value, str) and len(value) <= MAX_NAME and value.isprintable(),
)
FLAG = Rule("true or false", lambda value: isinstance(value, bool))


def check(source: str | Path, field: str, value: Any, rule: Rule) -> Any:
    """The value itself.

    Raises:
        ConfigError: the rule does not allow it; with the file, the field, what it holds and what it may hold.
    """
    if not rule.allows(value):
        raise ConfigError(f"{source}: {field} holds {shown(value)}; it may hold {rule.text}")
    return value


def check_count(source: str | Path, count: int, what: str = "tensors") -> None:
    """Raises `ConfigError` where there are more than any model has, before the work that each one takes."""
    if count > MAX_TENSORS:
        raise ConfigError(f"{source} holds {count} {what}; it may hold {MAX_TENSORS}")


def check_name(source: str | Path, name: Any) -> str:
    """The name of a tensor.

    Raises:
        ConfigError: it is no text, or longer than one has.
    """
    return check(source, "the name of a tensor", name, _NAME)


def class_names(source: str | Path, field: str, value: Any) -> dict[int, str]:
    """`{number: name}` from what a file has under `id2label`, whose numbers JSON keeps as text; null: no names.

    Raises:
        ConfigError: it is something else.
    """
    if value is None:
        return {}
    check(source, field, value, table(_MAX_CLASSES))
    names = {}
    for number, name in value.items():
        digits = str(number) if type(number) in (int, str) and len(shown(number)) < 20 else ""
        if not digits.isdecimal():
            raise ConfigError(f'{source}: {field} has the key {shown(number)}; it may hold whole numbers, as "17"')
        names[int(digits)] = check(source, f"{field} {digits}", name, text())
    return names


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object that a file is.

    Raises:
        ConfigError: missing, too large, or something else.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_JSON + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from error
    return json_object(path, content)


def json_object(source: str | Path, content: bytes | str) -> dict[str, Any]:
    """The JSON object in a text, which `source` names.

    Raises:
        ConfigError: too long, nested too deep, or no object.
    """
    if len(content) > MAX_JSON:
        raise ConfigError(f"{source} is longer than the {MAX_JSON >> 20} MB that such a text may have")
    try:
        value = json.loads(content)
    except RecursionError as error:
        raise ConfigError(f"{source} is not valid JSON: brackets within brackets, too deep to be read") from error
    except ValueError as error:
        raise ConfigError(f"{source} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{source} is not a JSON object")
    return value
