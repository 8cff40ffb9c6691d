"""Names of classes: a text file, one a line, the first is class 0."""

import json
from pathlib import Path

from mae.errors import ConfigError
from mae.files import read_utf8

CLASSES_FILE = "classes.txt"  # taken up by itself where it lies beside a list


def read_class_names(path: Path) -> tuple[str, ...]:
    """The names by class number.

    Raises:
        ConfigError: not a text file, no name in it, an empty line before a name, or a name twice.
    """
    names = [name.strip() for name in read_utf8(path, "the class names ").rstrip().split("\n")]
    first_line: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name:
            raise ConfigError(f"{path} line {number} is empty; expected one class name a line, the first is class 0")
        if first_line.setdefault(name, number) != number:
            raise ConfigError(f"{path} line {number}: {name!r} is in line {first_line[name]} already")
    return tuple(names)


def read_labels(path: Path) -> dict[int, str]:
    """Class names from JSON, a list or an object of numbers, or from text with one name a line.

    Raises:
        ConfigError: no such file, or something else in it.
    """
    text = read_utf8(path, "the class names ")
    try:
        content = json.loads(text) if text.lstrip().startswith(("{", "[")) else text.splitlines()
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        return {int(number): str(name).strip() for number, name in pairs}
    except ValueError as error:
        raise ConfigError(f"{path} holds no class names: {error}") from error
