"""From what a list writes behind its paths to what else than one class is learnt: several labels, or numbers.

Several labels stand in one field, `walk;run` or `0;3`, an empty field for none of them; or in columns of their own, a 1
or a 0 in each. Numbers stand in one field, `55.1` or `55.1;30`, or in columns of their own.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from mae.data.lists.labels import check_number, unknown_class
from mae.data.lists.lines import Label, Line, class_label
from mae.errors import ConfigError

BETWEEN = re.compile(r"[;|]")  # of the labels or numbers in a field
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_YES_NO = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}

Sets = tuple[tuple[int, ...], ...]
Numbers = tuple[tuple[float, ...], ...]


def label_sets(
    lines: Sequence[Line], names: tuple[str, ...] | None, source: str | Path
) -> tuple[Sets | None, tuple[str, ...] | None, bool]:
    """The numbers of each video's labels, ascending, as `mae.data.lists.labels.numbered_labels` gives those of classes.

    Args:
        lines: read `as_written`.
        names: of the labels by number, where a file names them; None: there is none.
        source: that file.

    Raises:
        ConfigError: numbers beside names, or what is no label; the message names the line.
    """
    told = [[_label(line, text) for text in _parts(line)] for line in lines]
    entries = [(line, label) for line, labels in zip(lines, told, strict=True) for label in labels]
    if not entries:
        return None, names, False
    first, kind = entries[0]
    for line, label in entries:
        if isinstance(label, str) != isinstance(kind, str):
            raise ConfigError(
                f"{line.where}: {line.path!r} has the label {label!r}, but {first.where} has {kind!r}; "
                "expected numbers or names, not both"
            )
    if isinstance(kind, int):
        for line, label in entries:
            check_number(line._replace(label=label), names, source)
        return tuple(tuple(sorted({int(label) for label in labels})) for labels in told), names, False
    known = names or tuple(sorted({str(label) for _, label in entries}))
    numbers = {name: number for number, name in enumerate(known)}
    for line, label in entries:
        if label not in numbers:
            raise unknown_class(line, str(label), known, source)
    return tuple(tuple(sorted({numbers[str(label)] for label in labels})) for labels in told), known, True


def _label(line: Line, text: str) -> Label:
    label = class_label(line.where, line.path, text)
    assert label is not None
    return label


def label_columns(lines: Sequence[Line], columns: Sequence[str]) -> Sets:
    """As `label_sets` for lists that have a column of ones and zeros for each label.

    Raises:
        ConfigError: something else in one of them; the message names the line.
    """

    def is_there(line: Line, column: str, text: str) -> bool:
        if text.casefold() not in _YES_NO:
            raise ConfigError(f"{line.where}: {column} of {line.path!r} is {text!r}; expected 1 or 0")
        return _YES_NO[text.casefold()]

    return tuple(
        tuple(
            number
            for number, (column, text) in enumerate(zip(columns, line.outputs or (), strict=True))
            if is_there(line, column, text)
        )
        for line in lines
    )


def numbers(lines: Sequence[Line], columns: Sequence[str]) -> Numbers | None:
    """The numbers of each video; None where no line has any.

    Args:
        lines: read `as_written`.
        columns: what they are called, one name for each; with one alone, a field may hold several.

    Raises:
        ConfigError: what is no number, or not as many as on the other lines; the message names the line.
    """
    told = [line.outputs or _parts(line) for line in lines]
    if not any(told):
        return None
    for line, texts in zip(lines, told, strict=True):
        for position, text in enumerate(texts):
            if not _NUMBER.fullmatch(text):
                column = columns[position] if len(columns) == len(texts) else columns[0]
                raise ConfigError(f"{line.where}: {column} of {line.path!r} is {text!r}; expected a number")
        if len(texts) != len(told[0]):
            raise ConfigError(
                f"{line.where}: {line.path!r} has {len(texts) or 'no'} numbers, but {lines[0].where} has "
                f"{len(told[0]) or 'none'}; expected as many on every line"
            )
    return tuple(tuple(map(float, texts)) for texts in told)


def _parts(line: Line) -> tuple[str, ...]:
    """The labels or numbers in a line's field of labels.

    Raises:
        ConfigError: one of several is empty.
    """
    if line.label is None:
        return ()
    parts = tuple(part.strip() for part in BETWEEN.split(str(line.label)))
    if not all(parts):
        raise ConfigError(f"{line.where}: {line.label!r} of {line.path!r} has an empty field between two others")
    return parts
