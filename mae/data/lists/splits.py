"""The lists of a fine-tuning: what it trains on, validates on and is tested with, in one numbering of the classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mae.data.config import CsvDataset, DatasetConfig, FolderDataset, RenderedDataset
from mae.data.lists.index import build_index, checked_list, index_rendered
from mae.data.lists.places import existing_directory
from mae.data.lists.video_index import VideoIndex, list_digest
from mae.errors import ConfigError
from mae.seeds import generator

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Splits:
    """Three lists; `test` is `val` itself where the data set has no other."""

    train: VideoIndex
    val: VideoIndex | None
    test: VideoIndex | None


def build_splits(dataset: DatasetConfig, max_bad_frac: float, progress: Progress | None = None) -> Splits:
    """The labelled lists of `dataset=`; missing videos of val and test are no error, they fail in the evaluation.

    Raises:
        ConfigError: as `build_index`; no labels; held-out videos of classes that the training videos do not have.
    """
    train = build_index(dataset, max_bad_frac, progress)
    if isinstance(dataset, FolderDataset) and dataset.holdout > 0:
        rest, held = hold_out(_labelled(train, "dataset.root"), dataset.holdout, existing_directory(dataset.root or ""))
        return Splits(rest, held, held)
    test = held_out_list(dataset, "test", progress)
    val = held_out_list(dataset, "val", progress) if isinstance(dataset, CsvDataset) and dataset.test else test
    train = _labelled(train, "the training list")
    return Splits(train, *(_in_classes_of(train, index, numbers_by_name(dataset)) for index in (val, test)))


def evaluation_list(dataset: DatasetConfig, max_bad_frac: float, progress: Progress | None = None) -> VideoIndex:
    """The list that `mode=eval` is about; what a data set trains on is not looked for unless it is cut from it.

    Raises:
        ConfigError: the data set has none.
    """
    if isinstance(dataset, FolderDataset) and dataset.holdout > 0:
        index = build_splits(dataset, max_bad_frac, progress).test
    else:
        index = held_out_list(dataset, "test", progress)
    if index is None:
        raise ConfigError(f"dataset={dataset.name} has no list to test on: {how_to_hold_out(dataset)}")
    return _labelled(index, "the test list")


def held_out_list(dataset: DatasetConfig, split: str, progress: Progress | None = None) -> VideoIndex | None:
    """The `val` or `test` list of a data set by itself; None where it has none."""
    if isinstance(dataset, RenderedDataset):
        return index_rendered(dataset, progress, held_out=True)
    if isinstance(dataset, FolderDataset):
        if dataset.val is None:
            return None
        existing_directory(dataset.val, "dataset.val=")
        return build_index(replace(dataset, root=dataset.val), 0)
    has_own = split == "test" and dataset.test is not None
    option, value = ("test", dataset.test) if has_own else ("val", dataset.val)
    return None if value is None else checked_list(dataset, f"dataset.{option}", value, max_bad_frac=1)


def numbers_by_name(dataset: DatasetConfig) -> bool:
    """Whether class numbers are only the positions of directories in their alphabet, not those of a list."""
    return not isinstance(dataset, CsvDataset)


def how_to_hold_out(dataset: DatasetConfig) -> str:
    """Advice for a data set without held-out videos."""
    if isinstance(dataset, FolderDataset):
        return "give dataset.val=/another/folder, or dataset.holdout=0.2"
    return "give dataset.val=list.csv"


def hold_out(index: VideoIndex, share: float, root: Path) -> tuple[VideoIndex, VideoIndex]:
    """Training and held-out videos of a labelled list, each in the list's order.

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


def with_classes(
    index: VideoIndex, names: Sequence[str] | None, num_classes: int, source: str, by_name: bool
) -> VideoIndex:
    """The list with its labels in the numbering of `names`, and checked to lie in it.

    Args:
        names: of the classes that `source` (a list, a checkpoint) knows; None: it knows only numbers.
        num_classes: how many it knows.
        by_name: whether the list's own numbers mean nothing, see `numbers_by_name`.

    Raises:
        ConfigError: a class or a number that `source` does not know; names in another order in a list of numbers.
    """
    assert index.labels is not None
    if names is not None and index.class_names is not None and tuple(names) != index.class_names:
        if not by_name:
            position = next(
                (i for i, (a, b) in enumerate(zip(names, index.class_names, strict=False)) if a != b),
                min(len(names), len(index.class_names)),
            )
            raise ConfigError(
                f"the classes of {source} ({len(names)}) and of the list of {index.paths[0]} "
                f"({len(index.class_names)}) differ from class {position} on: {_named(names, position)} and "
                f"{_named(index.class_names, position)}; they must be the same, in the same order"
            )
        index = _renumbered(index, names, source)
    assert index.labels is not None
    largest = max(index.labels)
    if largest >= num_classes:
        raise ConfigError(
            f"{index.paths[index.labels.index(largest)]} has label {largest}, and {source} has the {num_classes} "
            f"classes 0 … {num_classes - 1}: the list belongs to another set of classes"
        )
    return replace(index, class_names=index.class_names if names is None else tuple(names))


def _renumbered(index: VideoIndex, names: Sequence[str], source: str) -> VideoIndex:
    """Directories are numbered by their own alphabet: the same class may have another number elsewhere."""
    assert index.labels is not None
    assert index.class_names is not None
    unknown = sorted({index.class_names[label] for label in index.labels} - set(names))
    if unknown:
        first = index.paths[index.labels.index(index.class_names.index(unknown[0]))]
        raise ConfigError(
            f"the class {unknown[0]!r} of {first} and others ({len(unknown)} classes in all) is unknown to "
            f"{source}, which has {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        )
    numbers = {name: number for number, name in enumerate(names)}
    return replace(index, labels=tuple(numbers[index.class_names[label]] for label in index.labels))


def _in_classes_of(train: VideoIndex, index: VideoIndex | None, by_name: bool) -> VideoIndex | None:
    if index is None:
        return None
    assert train.num_classes is not None
    index = _labelled(index, "the held-out list")
    return with_classes(index, train.class_names, train.num_classes, "the training list", by_name)


def _labelled(index: VideoIndex, what: str) -> VideoIndex:
    if index.labels is None:
        raise ConfigError(
            f"{what} with {index.paths[0]} has no labels, and a classifier needs them: one `path label` a line, or "
            "videos in one directory for each class"
        )
    return index


def _part(index: VideoIndex, indices: np.ndarray, root: Path) -> VideoIndex:
    assert index.labels is not None
    if not len(indices):
        raise ConfigError("dataset.holdout: no class has two videos, so none can be held out")
    paths = tuple(index.paths[position] for position in indices)
    labels = tuple(index.labels[position] for position in indices)
    relative = [Path(path).relative_to(root).as_posix() for path in paths]
    return replace(index, paths=paths, labels=labels, digest=list_digest(relative, labels))


def _named(names: Sequence[str], position: int) -> str:
    return repr(names[position]) if position < len(names) else "none"
