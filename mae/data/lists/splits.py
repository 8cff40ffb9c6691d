"""The lists of a fine-tuning: what it trains on, validates on and is tested with, in one numbering of the classes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mae.data.config import CsvDataset, DatasetConfig, FolderDataset, RenderedDataset
from mae.data.lists.column import distinct, mapped
from mae.data.lists.folder import index_folder
from mae.data.lists.hold_out import hold_out, hold_out_groups
from mae.data.lists.index import build_index, checked_list, index_rendered
from mae.data.lists.places import existing_directory
from mae.data.lists.split_folders import SplitFolders, split_folders
from mae.data.lists.video_index import VideoIndex
from mae.errors import ConfigError, some
from mae.options import CLASSIFICATION, MULTILABEL

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Splits:
    """Three lists; `test` is `val` itself where the data set has no other."""

    train: VideoIndex
    val: VideoIndex | None
    test: VideoIndex | None

    @property
    def shared(self) -> tuple[str, ...]:
        """Videos of the training that are validated or tested on as well."""
        held = {path for index in (self.val, self.test) if index is not None for path in index.paths}
        return tuple(dict.fromkeys(path for path in self.train.paths if path in held))


def build_splits(
    dataset: DatasetConfig,
    max_bad_frac: float,
    progress: Progress | None = None,
    frames: str | None = None,
    task: str = CLASSIFICATION,
) -> Splits:
    """The labelled lists of `dataset=`; missing videos of val and test are no error, they fail in the evaluation.

    `progress` and `frames` are those of `build_index`.

    Raises:
        ConfigError: as `build_index`; no labels, or one class alone; held-out videos of classes that the training
            videos do not have, or of a group that they are of.
    """
    train = _labelled(build_index(dataset, max_bad_frac, progress, frames, task), "the training list", task)
    _check_differs(train)
    if isinstance(dataset, CsvDataset) and dataset.holdout > 0:
        rest, held = hold_out_groups(train, dataset.holdout)
        return Splits(rest, held, held)
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
    test = held_out_list(dataset, "test", progress, frames, task)
    val = held_out_list(dataset, "val", progress, frames, task) if _has_own_test(dataset) else test
    splits = Splits(train, *(_in_classes_of(train, index, task) for index in (val, test)))
    for index in (splits.val, splits.test):
        _check_groups(train, index)
    return splits


def _check_differs(train: VideoIndex) -> None:
    """Raises `ConfigError` for a training list whose videos are all alike in what is to be learnt."""
    said = f"all {len(train.paths)} training videos, as {train.paths[0]}, "
    if train.labels and len(np.unique(np.asarray(train.labels))) == 1:
        raise ConfigError(
            f"{said}are of one class, {train.name_of((train.labels or (0,))[0])!r}: there is nothing to tell "
            f"apart{_left_out(train)}"
        )
    for position, numbers in enumerate(np.asarray(train.targets).T if train.targets else ()):
        if np.all(numbers == numbers[0]):
            which = "" if train.class_names is None else f" as {train.name_of(position)}"
            raise ConfigError(f"{said}have the same number{which}, {numbers[0]:g}: there is nothing to learn")


def _check_groups(train: VideoIndex, index: VideoIndex | None) -> None:
    """Raises `ConfigError` where a group is in both lists."""
    if index is None or index.groups is None or train.groups is None:
        return
    known = set(distinct(train.groups))
    both = [path for path, group in zip(index.paths, index.groups, strict=True) if group in known]
    if both:
        group = index.groups[index.paths.index(both[0])]
        other = train.paths[train.groups.index(group)]
        raise ConfigError(
            f"{both[0]} of the held-out list and {other} of the training list are of one group, {group!r} ({len(both)} "
            "such held-out videos): a group belongs into one list"
        )


def evaluation_list(
    dataset: DatasetConfig,
    max_bad_frac: float,
    progress: Progress | None = None,
    frames: str | None = None,
    task: str = CLASSIFICATION,
) -> VideoIndex:
    """The list that `mode=eval` is about; what a data set trains on is not looked for unless it is cut from it.

    Raises:
        ConfigError: the data set has none.
    """
    if not isinstance(dataset, RenderedDataset) and dataset.holdout > 0:
        index = build_splits(dataset, max_bad_frac, progress, frames, task).test
    else:
        index = held_out_list(dataset, "test", progress, frames, task)
    if index is None:
        raise ConfigError(f"dataset={dataset.name} has no list to test on: {how_to_hold_out(dataset)}")
    return _labelled(index, "the test list", task)


def held_out_list(
    dataset: DatasetConfig,
    split: str,
    progress: Progress | None = None,
    frames: str | None = None,
    task: str = CLASSIFICATION,
) -> VideoIndex | None:
    """The `val` or `test` list of a data set by itself, one in place of the other; None where it has neither."""
    if isinstance(dataset, RenderedDataset):
        return index_rendered(dataset, progress, held_out=True)
    if isinstance(dataset, FolderDataset):
        folder, option = _held_out_folder(dataset, split)
        return None if folder is None else index_folder(folder, option, frames, "data.frames=")
    has_own = split == "test" and dataset.test is not None
    option, value = ("test", dataset.test) if has_own else ("val", dataset.val)
    return None if value is None else checked_list(dataset, f"dataset.{option}", value, 1, frames, task)


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
    return "give dataset.val=list.csv, or dataset.holdout=0.2"


def with_classes(index: VideoIndex, names: Sequence[str] | None, num_classes: int, source: str) -> VideoIndex:
    """The list with its labels in the numbering of `names`, and checked to lie in it.

    Args:
        names: of the classes that `source` (a list, a checkpoint) knows; None: it knows only numbers.
        num_classes: how many it knows.

    Raises:
        ConfigError: a class or a number that `source` does not know; names in another order in a list of numbers.
    """
    if index.targets is not None:
        return _with_numbers(index, names, num_classes, source)
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
    largest = max(_classes_of(index), default=-1)
    if largest >= num_classes:
        first = next(path for path, labels in _labels_of(index) if largest in labels)
        raise ConfigError(
            f"{first} has label {largest}, and {source} has the {num_classes} "
            f"classes 0 … {num_classes - 1}: the list belongs to another set of classes"
        )
    return replace(index, class_names=index.class_names if names is None else tuple(names))


def _classes_of(index: VideoIndex) -> set[int]:
    """The classes or labels that some video has."""
    if index.label_sets:
        return {label for labels in set(distinct(index.label_sets)) for label in labels}
    return set(np.unique(np.asarray(index.labels)).tolist()) if index.labels else set()


def _labels_of(index: VideoIndex) -> Iterator[tuple[str, Sequence[int]]]:
    """Path and classes of each video, one or, where there may be, several."""
    labels: Iterable[Sequence[int]] = index.label_sets or ((label,) for label in index.labels or ())
    return zip(index.paths, labels, strict=True)


def _with_numbers(index: VideoIndex, names: Sequence[str] | None, count: int, source: str) -> VideoIndex:
    assert index.targets is not None
    if len(index.targets[0]) != count:
        raise ConfigError(
            f"{index.paths[0]} has {len(index.targets[0])} numbers, and {source} {count}: {some(names or (), 5)}"
        )
    if names is not None and index.class_names is not None and tuple(names) != index.class_names:
        raise ConfigError(
            f"the numbers of {source} are {', '.join(names)}, those of the list of {index.paths[0]} "
            f"{', '.join(index.class_names)}; they must be the same, in the same order"
        )
    return index if names is None else replace(index, class_names=tuple(names))


def _renumbered(index: VideoIndex, names: Sequence[str], source: str) -> VideoIndex:
    """Names are numbered by their own alphabet: the same class may have another number elsewhere."""
    own = index.class_names
    assert own is not None
    unknown = sorted({own[label] for label in _classes_of(index)} - set(names))
    if unknown:
        first = next(path for path, labels in _labels_of(index) if own.index(unknown[0]) in labels)
        raise ConfigError(
            f"the class {unknown[0]!r} of {first} and others ({len(unknown)} classes in all) is unknown to "
            f"{source}, which has {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        )
    numbers = {name: number for number, name in enumerate(names)}
    if index.label_sets is None:
        return replace(index, labels=mapped(lambda label: numbers[own[label]], index.labels or ()))
    sets = mapped(lambda labels: tuple(sorted(numbers[own[label]] for label in labels)), index.label_sets)
    return replace(index, label_sets=sets)


def _in_classes_of(train: VideoIndex, index: VideoIndex | None, task: str) -> VideoIndex | None:
    if index is None:
        return None
    assert train.num_classes is not None
    index = _labelled(index, "the held-out list", task)
    for named, other in ((train, index), (index, train)):
        if named.is_numbered_by_name and other.class_names is None:
            raise ConfigError(
                f"the classes of {named.paths[0]} and others have names, those of {other.paths[0]} and others are "
                "numbers: which number is which name? Write names in both lists, or numbers"
            )
    return with_classes(index, train.class_names, train.num_classes, "the training list")


def _labelled(index: VideoIndex, what: str, task: str) -> VideoIndex:
    if index.is_labelled:
        return index
    if task == CLASSIFICATION:
        raise ConfigError(
            f"{what} with {index.paths[0]} has no labels, and a classifier needs them: one `path label` a line, or "
            f"videos in one directory for each class{_left_out(index)}"
        )
    expected = "one `path,walk;run` a line" if task == MULTILABEL else "one `path,55.1` a line"
    raise ConfigError(
        f"{what} with {index.paths[0]} has nothing that task={task} learns: expected {expected}, or the columns that "
        f"dataset.targets=[…] names{_left_out(index)}"
    )


def _left_out(index: VideoIndex) -> str:
    """What the list did not take, which may be what is missing."""
    return "".join(f"; {name}: {value}" for name, value in index.notes)


def _named(names: Sequence[str], position: int) -> str:
    return repr(names[position]) if position < len(names) else "none"
