"""From what a list writes behind its paths to the numbers of classes."""

from collections.abc import Sequence
from pathlib import Path

from mae.data.lists.lines import Line
from mae.errors import ConfigError, unknown_name

LARGEST_CREDIBLE_LABEL = 10**6  # larger ones are sizes, times or identifiers


def numbered_labels(
    lines: Sequence[Line], names: tuple[str, ...] | None, source: str | Path
) -> tuple[tuple[int, ...] | None, tuple[str, ...] | None, bool]:
    """The number of each video's class, the names by number, and whether the numbers follow from the names alone.

    Names that a list writes are numbered as in `names`, or else in their alphabet.

    Args:
        names: of the classes by number, where a file names them; None: there is none.
        source: that file.

    Raises:
        ConfigError: labels on some lines only, numbers beside names, numbers that are none of a class, a class that
            the file does not name; the message names the line.
    """
    first = lines[0]
    for line in lines:
        _check_like(line, first)
    if isinstance(first.label, str):
        written = [str(line.label) for line in lines]
        known = names or tuple(sorted(set(written)))
        numbers = {name: number for number, name in enumerate(known)}
        for line, name in zip(lines, written, strict=True):
            if name not in numbers:
                raise unknown_class(line, name, known, source)
        return tuple(numbers[name] for name in written), known, True
    labels = tuple(line.label for line in lines if isinstance(line.label, int))
    for line in lines:
        check_number(line, names, source)
    return labels or None, names, False


def unknown_class(line: Line, name: str, known: Sequence[str], source: str | Path) -> ConfigError:
    """The error for a name that is not among those that a file, `source`, has."""
    return ConfigError(f"{line.where}: {unknown_name(f'{source}: the class', name, known)}")


def no_group(line: Line) -> ConfigError:
    """The error for a video without a group in a list that has some."""
    return ConfigError(f"{line.where}: {line.path!r} has no group; expected one on every line")


def _check_like(line: Line, first: Line) -> None:
    if (line.label is None) != (first.label is None):
        one, other = (line, first) if line.label is None else (first, line)
        raise ConfigError(
            f"{one.where}: {one.path!r} has no label but {other.where} has one, {other.label!r}; "
            "give every line `path label`, or none a label"
        )
    if isinstance(line.label, str) != isinstance(first.label, str):
        raise ConfigError(
            f"{line.where}: the label of {line.path!r} is {line.label!r}, but that of {first.where} is "
            f"{first.label!r}; expected numbers or names, not both"
        )


def check_number(line: Line, names: tuple[str, ...] | None, source: str | Path) -> None:
    """Raises `ConfigError` where the label of a line is a number, and not that of one of the classes."""
    assert not isinstance(line.label, str)
    if line.label is None:
        return
    where = f"{line.where}: label {line.label} of {line.path!r}"
    if line.label < 0:
        raise ConfigError(f"{where} is negative; expected `path label` with classes from 0, or only `path`")
    if line.label > LARGEST_CREDIBLE_LABEL:
        raise ConfigError(f"{where} is no class; expected `path label` with classes numbered from 0 on, or only `path`")
    if names is not None and line.label >= len(names):
        raise ConfigError(
            f"{where} has no name: {source} has {len(names)}, for labels 0 to {len(names) - 1}; correct one of them, "
            "or name another file with dataset.classes="
        )
