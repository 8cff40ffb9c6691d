"""Which videos of a list are held out of the training: a function of the list alone, whatever the seed of a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mae.data.lists.column import Coded, Column
from mae.data.lists.video_index import VideoIndex, list_digest
from mae.errors import ConfigError
from mae.seeds import generator

_MOST_SINGLE = 10**6  # videos that are groups by themselves
_MOST_SUMS = 10**8  # numbers that groups are compared by


def hold_out(index: VideoIndex, share: float, root: Path) -> tuple[VideoIndex, VideoIndex]:
    """Training and held-out videos of a folder with classes, each in the list's order.

    Of every class `share`, rounded, but at least one video where it has two, and never all. Which ones depends on
    the list alone: other seeds of a run are compared on the same videos.
    """
    assert index.labels is not None
    labels = np.array(index.labels)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = int(np.clip(round(share * len(members)), 1, max(len(members) - 1, 1))) if len(members) > 1 else 0
        held[generator(0, "holdout", int(label)).permutation(members)[:count]] = True
    return _part(index, np.flatnonzero(~held), root), _part(index, np.flatnonzero(held), root)


def hold_out_groups(index: VideoIndex, share: float) -> tuple[VideoIndex, VideoIndex]:
    """Training and held-out videos of a list, each in the list's order, no group of it in both.

    Groups are those of the list, or else the segments of one video. They are looked at in a random order, and one is
    held out where that brings the numbers of held-out videos, of all and of each class or label, nearer to `share` of
    them, and leaves every class with videos to train on.

    Raises:
        ConfigError: there is one group alone, or none can be held out.
    """
    group_of = _group_of(index.groups or index.paths)
    count = int(group_of.max()) + 1
    sums = _sums(index, group_of, count, share)
    total = sums.sum(axis=0)
    wanted, held = share * total, np.zeros(len(total))
    is_held = np.zeros(count, bool)
    order = generator(0, "holdout of groups").permutation(count)
    for group in order:
        leaves_some = np.all((held + sums[group] < total) | (sums[group] == 0))
        if leaves_some and _distance(held + sums[group], wanted) < _distance(held, wanted):
            held, is_held[group] = held + sums[group], True
    if not is_held.any():  # each is far more than the share: the one that is least too much
        possible = [group for group in order if np.all((sums[group] < total) | (sums[group] == 0))]
        if not possible:
            raise ConfigError(
                f"dataset.holdout={share:g}: none of the {count} groups of the list can be held out, as each has all "
                "videos of some class"
            )
        is_held[min(possible, key=lambda group: _distance(sums[group], wanted))] = True
    of_video = is_held[group_of]
    return index.part(np.flatnonzero(~of_video).tolist()), index.part(np.flatnonzero(of_video).tolist())


def _group_of(names: Sequence[str]) -> np.ndarray:
    """(n,) number of each video's group, in the alphabet of their names."""
    if isinstance(names, Coded):
        _, numbers = np.unique(names.choices, return_inverse=True)
        return numbers[names.codes]
    if isinstance(names, Column) and len(names) > _MOST_SINGLE:
        raise ConfigError(
            f"dataset.holdout= of a list of {len(names)} videos needs a column group, of fewer groups than videos; or "
            "give another list as dataset.val="
        )
    return np.unique([*names], return_inverse=True)[1]


def _sums(index: VideoIndex, group_of: np.ndarray, count: int, share: float) -> np.ndarray:
    """(count, 1 + classes): videos of each group, and how many of them have each class or label."""
    classes = (index.num_classes or 0) if index.label_sets or index.labels else 0
    if count * (1 + classes) > _MOST_SUMS:
        raise ConfigError(
            f"dataset.holdout={share:g}: {count} groups with {classes} classes are too many to weigh; give another "
            "list as dataset.val="
        )
    sums = np.zeros((count, 1 + classes))
    sums[:, 0] = np.bincount(group_of, minlength=count)
    if index.label_sets:
        np.add.at(sums[:, 1:], group_of, index.truths(classes))
    elif index.labels:
        np.add.at(sums, (group_of, 1 + np.asarray(index.labels)), 1)
    return sums


def _distance(held: np.ndarray, wanted: np.ndarray) -> float:
    """Of numbers of videos to those that are wanted; rare and frequent classes count alike."""
    return float(np.sum(((held - wanted) / np.maximum(wanted, 1e-9)) ** 2 * (wanted > 0)))


def _part(index: VideoIndex, indices: np.ndarray, root: Path) -> VideoIndex:
    assert index.labels is not None
    if not len(indices):
        raise ConfigError("dataset.holdout: no class has two videos, so none can be held out")
    paths = tuple(index.paths[position] for position in indices)
    labels = tuple(index.labels[position] for position in indices)
    relative = [Path(path).relative_to(root).as_posix() for path in paths]
    return replace(index, paths=paths, labels=labels, digest=list_digest(relative, labels))
