"""Which pictures of a directory are the frames of one video, told by their names alone.

Pictures whose names differ in numbers only are one series: `img_00001.jpg`, `img_00002.jpg` and so on are `img_*.jpg`.
Where a directory holds several, as flow, masks or depth beside the frames, a path that ends in a pattern names one of
them: `clip7/img_*.jpg`.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from mae.errors import some

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
ANY = "*"  # what stands for numbers in the name of a series, and for anything in a pattern

_NUMBER = re.compile(r"([0-9]+)")
_SHOWN = 4  # series in a message


def is_picture(name: str) -> bool:
    """Whether a file may be a frame, by its ending."""
    return os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS


def split_pattern(path: str) -> tuple[str, str | None]:
    """The directory of frames that a path names and the pattern of their names; None: every picture in it."""
    directory, name = os.path.split(path)
    if ANY not in name or os.path.exists(path):
        return path, None
    return directory, name


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """The names that a pattern stands for, in any case; only `*` is special in it, and an ending may be left out."""
    expression = re.compile(".*".join(map(re.escape, pattern.casefold().split(ANY))))
    return [name for name in names if expression.fullmatch(name.casefold())]


def series_of(names: Iterable[str]) -> dict[str, list[str]]:
    """The names of each series by its own name, the longest series first."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_NUMBER.sub(ANY, name.casefold()), []).append(name)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def describe(series: Mapping[str, Sequence[str]]) -> str:
    """As `img_*.jpg (58 pictures), flow_x_*.jpg (57 pictures)`."""
    return some([f"{name} ({_count(len(names), 'picture')})" for name, names in series.items()], _SHOWN)


def how_to_choose(series: Iterable[str], option: str | None) -> str:
    """Advice for pictures of several series; `option` is what a command calls the choice, None: it has none, or any."""
    first = next(iter(series))
    given = "" if option is None else f"{option}{first} says so for all, and "
    return f"which of them is the video? {given}a path in a list may end in /{first}"


def in_order(names: Iterable[str]) -> list[str]:
    """Names in natural order, 2.jpg before 10.jpg; those that differ in leading zeros only keep an order."""
    return sorted(names, key=_natural)


def missing_numbers(names: Sequence[str]) -> int:
    """How many numbers a series leaves out between its first and its last.

    Every fifth frame, or any other step, leaves out none. Nothing is told of names that have several numbers which
    vary, as times have, and where no step is that of most.
    """
    numbers = [[int(number) for number in _NUMBER.findall(name)] for name in names]
    varying = [column for column in zip(*numbers, strict=False) if len(set(column)) > 1]
    if len(varying) != 1:
        return 0
    steps = Counter(after - before for before, after in pairwise(sorted(set(varying[0]))))
    step, count = min(steps.items(), key=lambda item: (-item[1], item[0]))
    if 2 * count < steps.total():
        return 0
    return sum((wide // step - 1) * often for wide, often in steps.items() if wide > step)


def _natural(name: str) -> list[tuple[int, str]]:
    parts = enumerate(_NUMBER.split(name))  # every other one is a number
    return [(int(part), part) if index % 2 else (-1, part) for index, part in parts]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
