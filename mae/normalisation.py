"""What pixels are normalised by: a mean and a standard deviation for each channel."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

from mae.errors import ConfigError, shown
from mae.imagenet import IMAGENET_MEAN, IMAGENET_STD


class Statistics(NamedTuple):
    """Of each channel, of values in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def usual_statistics(in_channels: int) -> Statistics:
    """What is taken where nothing is told: ImageNet's for three channels, 0.5 and 0.5 of each for others."""
    if in_channels == 3:
        return Statistics(IMAGENET_MEAN, IMAGENET_STD)
    return Statistics((0.5,) * in_channels, (0.5,) * in_channels)


def statistics_of(in_channels: int, mean: Sequence[float] | None, std: Sequence[float] | None) -> Statistics:
    """Those that are given, and the usual ones in place of None.

    Raises:
        ConfigError: not a number for each channel, or a deviation that is not above 0.
    """
    usual = usual_statistics(in_channels)
    given = (("mean", mean, usual.mean), ("std", std, usual.std))
    return Statistics(*(_of_channels(name, values, usually) for name, values, usually in given))


def _of_channels(name: str, values: Any, usual: tuple[float, ...]) -> tuple[float, ...]:
    if values is None:
        return usual
    lowest = 0.0 if name == "std" else -math.inf
    listed = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    is_given = len(listed) == len(usual) and all(
        isinstance(value, Real) and not isinstance(value, bool) and lowest < float(value) < math.inf for value in listed
    )
    if not is_given:
        numbers = f"{len(usual)} number{'' if len(usual) == 1 else 's'}{' above 0' if name == 'std' else ''}"
        raise ConfigError(
            f"{name}=[{', '.join(map(shown, listed[:8]))}] must be {numbers}: one for each of in_channels"
        )
    return tuple(float(value) for value in listed)
