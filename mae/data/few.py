"""The first readable videos of a list, for a run that is to learn a few clips by heart (`overfit_clips`)."""

import itertools
from collections.abc import Sequence

import numpy as np

from mae.data.clips import ClipReader
from mae.data.read_ahead import read_ahead
from mae.errors import BadVideo, ConfigError


def reader_of_few(reader: ClipReader, count: int, over_classes: bool) -> ClipReader:
    """A reader of the first `count` videos that can be read.

    Args:
        over_classes: the first video of every class, then the second of every class, and so on.

    Raises:
        ConfigError: there are not as many.
    """
    index = reader.index
    listed = len(index.paths)
    if count > listed:
        raise ConfigError(f"overfit_clips={count} is more than the {listed} videos of the list: give {listed} or fewer")
    order = in_turn(index.labels) if over_classes and index.labels is not None else range(listed)
    indices, reason = [], ""
    for position, clip in read_ahead(order, lambda example: reader.training_clips(0, example)):
        if isinstance(clip, BadVideo):
            reason = reason or f"{index.paths[position]} ({clip})"
            continue
        indices.append(position)
        if len(indices) == count:
            return ClipReader(index.part(sorted(indices)), reader.spec, reader.seed, reader.timeout_s)
    raise ConfigError(
        f"overfit_clips={count}, and only {len(indices)} of the {listed} videos can be read; the first that cannot: "
        f"{reason}"
    )


def in_turn(labels: Sequence[int]) -> list[int]:
    """The positions of a list ordered so that the classes take turns: any beginning has about as many of each."""
    seen: dict[int, itertools.count[int]] = {}
    nth = [next(seen.setdefault(label, itertools.count())) for label in labels]
    return [int(position) for position in np.lexsort((labels, nth))]
