"""Which videos of a list are held out of the training: a function of the list alone, whatever the seed of a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mae.data.lists.video_index import VideoIndex, list_digest
from mae.errors import ConfigError
from mae.seeds import generator


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
    _, group_of = np.unique(index.groups or index.paths, return_inverse=True)
    count = int(group_of.max()) + 1
    members = _members(index)
    sums = np.zeros((count, members.shape[1]))
    np.add.at(sums, group_of, members)
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


def _members(index: VideoIndex) -> np.ndarray:
    """(n, 1 + classes): a one for the video itself, and for each class or label that it has."""
    ones = np.ones((len(index.paths), 1))
    sets: Sequence[Sequence[int]] = index.label_sets or [[label] for label in index.labels or ()]
    if not sets:
        return ones
    classes = np.zeros((len(sets), index.num_classes or 0))
    for row, labels in enumerate(sets):
        classes[row, list(labels)] = 1
    return np.concatenate([ones, classes], axis=1)


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
