"""The lists of a fine-tuning: what it trains on, validates on and is tested with, in one numbering of the classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mae.data.config import CsvDataset, DatasetConfig, FolderDataset, RenderedDataset
from mae.data.lists.folder import index_folder
from mae.data.lists.index import build_index, checked_list, index_rendered
from mae.data.lists.places import existing_directory
from mae.data.lists.split_folders import SplitFolders, split_folders
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


def build_splits(
    dataset: DatasetConfig, max_bad_frac: float, progress: Progress | None = None, frames: str | None = None
) -> Splits:
    """The labelled lists of `dataset=`; missing videos of val and test are no error, they fail in the evaluation.

    `progress` and `frames` are those of `build_index`.

    Raises:
        ConfigError: as `build_index`; no labels, or one class alone; held-out videos of classes that the training
            videos do not have.
    """
    train = _labelled(build_index(dataset, max_bad_frac, progress, frames), "the training list")
    if len(set(train.labels or ())) == 1:
        raise ConfigError(
            f"all {len(train.paths)} training videos, as {train.paths[0]}, are of one class, "
            f"{train.name_of((train.labels or (0,))[0])!r}: there is nothing to tell apart{_left_out(train)}"
        )
    if isinstance(dataset, FolderDataset) and dataset.holdout > 0:
        parts = _parts(dataset)
        if parts is not None and (parts.val or parts.test):
            raise ConfigError(
                f"dataset.holdout={dataset.holdout:g}, and dataset.root={dataset.root} has a part for it already, "
                f"{(parts.val or parts.test or parts.train).name}/: leave out dataset.holdout, or give "
                f"dataset.root={parts.train}"
            )
        root = existing_directory(dataset.root or "") if parts is None else parts.train
        rest, held = hold_out(train, dataset.holdout, root)
        return Splits(rest, held, held)
    test = held_out_list(dataset, "test", progress, frames)
    val = held_out_list(dataset, "val", progress, frames) if _has_own_test(dataset) else test
    return Splits(train, *(_in_classes_of(train, index) for index in (val, test)))


def evaluation_list(
    dataset: DatasetConfig, max_bad_frac: float, progress: Progress | None = None, frames: str | None = None
) -> VideoIndex:
    """The list that `mode=eval` is about; what a data set trains on is not looked for unless it is cut from it.

    Raises:
        ConfigError: the data set has none.
    """
    if isinstance(dataset, FolderDataset) and dataset.holdout > 0:
        index = build_splits(dataset, max_bad_frac, progress, frames).test
    else:
        index = held_out_list(dataset, "test", progress, frames)
    if index is None:
        raise ConfigError(f"dataset={dataset.name} has no list to test on: {how_to_hold_out(dataset)}")
    return _labelled(index, "the test list")


def held_out_list(
    dataset: DatasetConfig, split: str, progress: Progress | None = None, frames: str | None = None
) -> VideoIndex | None:
    """The `val` or `test` list of a data set by itself, one in place of the other; None where it has neither."""
    if isinstance(dataset, RenderedDataset):
        return index_rendered(dataset, progress, held_out=True)
    if isinstance(dataset, FolderDataset):
        folder, option = _held_out_folder(dataset, split)
        return None if folder is None else index_folder(folder, option, frames, "data.frames=")
    has_own = split == "test" and dataset.test is not None
    option, value = ("test", dataset.test) if has_own else ("val", dataset.val)
    return None if value is None else checked_list(dataset, f"dataset.{option}", value, max_bad_frac=1, frames=frames)


def _held_out_folder(dataset: FolderDataset, split: str) -> tuple[Path | None, str]:
    """The folder of the `val` or `test` videos, and what it is called in messages."""
    parts = _parts(dataset)
    given = None if dataset.val is None else existing_directory(dataset.val, "dataset.val=")
    held = [] if parts is None else [part for part in (parts.val, parts.test) if part is not None]
    if parts is None or not held:
        return given, "dataset.val="
    if given is not None and not any(given.samefile(part) for part in held):
        raise ConfigError(
            f"dataset.val={dataset.val}, and dataset.root={dataset.root} has a part for it already, {held[0].name}/: "
            f"leave out dataset.val, or give dataset.root={parts.train}"
        )
    return held[-1] if split == "test" else given or held[0], "dataset.root="


def _has_own_test(dataset: DatasetConfig) -> bool:
    """Whether the test is with other videos than the validation."""
    if isinstance(dataset, FolderDataset):
        parts = _parts(dataset)
        return parts is not None and parts.val is not None and parts.test is not None
    return isinstance(dataset, CsvDataset) and dataset.test is not None


def _parts(dataset: FolderDataset) -> SplitFolders | None:
    return None if dataset.root is None else split_folders(existing_directory(dataset.root))


def how_to_hold_out(dataset: DatasetConfig) -> str:
    """Advice for a data set without held-out videos."""
    if isinstance(dataset, FolderDataset):
        return "give dataset.val=/another/folder, or dataset.holdout=0.2; train/ and val/ in dataset.root are found"
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


def with_classes(index: VideoIndex, names: Sequence[str] | None, num_classes: int, source: str) -> VideoIndex:
    """The list with its labels in the numbering of `names`, and checked to lie in it.

    Args:
        names: of the classes that `source` (a list, a checkpoint) knows; None: it knows only numbers.
        num_classes: how many it knows.

    Raises:
        ConfigError: a class or a number that `source` does not know; names in another order in a list of numbers.
    """
    assert index.labels is not None
    if names is not None and index.class_names is not None and tuple(names) != index.class_names:
        if not index.is_numbered_by_name:
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
    """Names are numbered by their own alphabet: the same class may have another number elsewhere."""
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


def _in_classes_of(train: VideoIndex, index: VideoIndex | None) -> VideoIndex | None:
    if index is None:
        return None
    assert train.num_classes is not None
    index = _labelled(index, "the held-out list")
    for named, other in ((train, index), (index, train)):
        if named.is_numbered_by_name and other.class_names is None:
            raise ConfigError(
                f"the classes of {named.paths[0]} and others have names, those of {other.paths[0]} and others are "
                "numbers: which number is which name? Write names in both lists, or numbers"
            )
    return with_classes(index, train.class_names, train.num_classes, "the training list")


def _labelled(index: VideoIndex, what: str) -> VideoIndex:
    if index.labels is None:
        raise ConfigError(
            f"{what} with {index.paths[0]} has no labels, and a classifier needs them: one `path label` a line, or "
            f"videos in one directory for each class{_left_out(index)}"
        )
    return index


def _left_out(index: VideoIndex) -> str:
    """What the list did not take, which may be what is missing."""
    return "".join(f"; {name}: {value}" for name, value in index.notes)


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
