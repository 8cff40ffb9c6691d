"""What a list of videos is, wherever it came from."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mae.data.lists.column import Coded, distinct, mapped, repeats, taken
from mae.errors import some

Segment = tuple[float, float]  # start and end in seconds, 0 <= start < end
_Entry = tuple[str, Segment | None, int | None]  # path, segment and stride of a video

_CLASSES_SHOWN = 10
_AT_ONCE = 1 << 16  # lines or numbers that are made into text together
# Of `VideoIndex`, what has one value for each video.
_COLUMNS = ("paths", "labels", "segments", "strides", "groups", "label_sets", "targets", "written")


@dataclass(frozen=True)
class VideoIndex:
    """The videos of a data set; an example is an index into `paths`.

    What has one value for each video is a tuple, or a `mae.data.lists.column.Column` where there may be millions.
    """

    paths: Sequence[str]  # absolute, or addresses: of video files, packed videos (.zip) or directories of frames
    labels: Sequence[int] | None  # class of each, from 0
    class_names: tuple[str, ...] | None  # by number; None where only numbers are known
    digest: str  # sha256 of relative paths, labels, segments and strides: the same list elsewhere has the same
    segments: Sequence[Segment | None] | None = None  # the part of each that counts; None: the whole video
    strides: Sequence[int | None] | None = None  # source frames between two of a clip; None: dataset.frame_stride
    missing: int = 0  # listed files that were not there at the start
    is_numbered_by_name: bool = False  # labels are the places of names in their alphabet, and mean nothing elsewhere
    notes: tuple[tuple[str, str], ...] = ()  # name and value of what else a person should see: what is left out
    groups: Sequence[str] | None = None  # of each, as a patient: videos of one belong into one list
    # What is learnt of each instead of a class, with `class_names` for their names:
    label_sets: Sequence[tuple[int, ...]] | None = None  # of task=multilabel: numbers of its labels, ascending
    targets: Sequence[tuple[float, ...]] | None = None  # of task=regression: numbers, as many for each
    written: Sequence[str] | None = None  # labels of a task that nothing here knows, as the list has them

    @property
    def num_classes(self) -> int | None:
        """Number of class names, or the largest label + 1 where there are none; None without labels and names.

        The same of labels where there may be several; of numbers, how many a video has.
        """
        if self.targets is not None:
            return len(self.targets[0])
        if self.class_names is not None:
            return len(self.class_names)
        if self.label_sets is not None:
            return max(label for labels in distinct(self.label_sets) for label in labels) + 1
        return None if self.labels is None else int(np.max(np.asarray(self.labels))) + 1

    @property
    def is_labelled(self) -> bool:
        """Whether there is something to learn of each video."""
        return any(told is not None for told in (self.labels, self.label_sets, self.targets))

    @property
    def as_written(self) -> Sequence[int | str] | None:
        """What is learnt of each video, as a field of a list; None: nothing."""
        if self.targets is not None:
            return mapped(lambda numbers: ";".join(map(repr, numbers)), self.targets)
        if self.label_sets is not None:
            return mapped(lambda labels: ";".join(map(str, labels)), self.label_sets)
        return self.labels or self.written

    def truths(self, outputs: int) -> np.ndarray:
        """What is learnt of each video as an array, for a model of so many outputs.

        (n,) int32 classes; (n, outputs) uint8, 1 for each label that a video has; or (n, outputs) float64 numbers.
        """
        if self.targets is not None:
            return np.array(self.targets, np.float64)
        if self.label_sets is None:
            return np.array(self.labels, np.int32)
        sets = self.label_sets.choices if isinstance(self.label_sets, Coded) else self.label_sets
        made = np.zeros((len(sets), outputs), np.uint8)
        for row, labels in enumerate(sets):
            made[row, list(labels)] = 1
        return made[self.label_sets.codes] if isinstance(self.label_sets, Coded) else made

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Classes below `num_classes` that no video has, by name, or by number where names are unknown."""
        if self.labels is None or self.num_classes is None:
            return ()
        seen = self._counts
        names = self.class_names or tuple(str(number) for number in range(self.num_classes))
        return tuple(name for number, name in enumerate(names) if number not in seen)

    @property
    def duplicates(self) -> int:
        """Entries that repeat the path, the segment and the stride of an earlier one."""
        places, numbers = self._repeats
        return len(places) - (int(numbers.max()) + 1 if len(places) else 0)

    @property
    def contradictions(self) -> dict[str, tuple[int, ...]]:
        """Labels by path of videos that are listed, with the same segment and stride, under several."""
        if self.labels is None:
            return {}
        places, numbers = self._repeats
        told = np.asarray(self.labels)[places]
        lowest, highest = (np.zeros(numbers.max(initial=-1) + 1, told.dtype) for _ in range(2))
        lowest[numbers] = highest[numbers] = told
        np.minimum.at(lowest, numbers, told)
        np.maximum.at(highest, numbers, told)
        labels: dict[_Entry, dict[int, None]] = {}
        for index in places[(lowest != highest)[numbers]].tolist():
            labels.setdefault(self.entry(index), {})[self.labels[index]] = None
        return {entry[0]: tuple(found) for entry, found in labels.items() if len(found) > 1}

    @cached_property
    def _repeats(self) -> tuple[np.ndarray, np.ndarray]:
        """The places of all videos whose entry another one has, too, and a number for each entry."""
        return repeats(self.paths, [column for column in (self.segments, self.strides) if column is not None])

    @cached_property
    def _counts(self) -> dict[int, int]:
        """How many videos each class has that has some, ascending."""
        counts = np.bincount(np.asarray(self.labels))
        return {label: int(counts[label]) for label in np.flatnonzero(counts).tolist()}

    def entry(self, index: int) -> _Entry:
        """Path, segment and stride of a video; what is equal in all three is the same example."""
        segment = None if self.segments is None else self.segments[index]
        return self.paths[index], segment, None if self.strides is None else self.strides[index]

    def name_of(self, label: int) -> str:
        """The class of a label by name, or by number where names are unknown."""
        return str(label) if self.class_names is None else self.class_names[label]

    def entries(self) -> Iterator[_Entry]:
        """The entry of each video."""
        columns = (
            itertools.repeat(None, len(self.paths)) if column is None else column
            for column in (self.segments, self.strides)
        )
        return zip(self.paths, *columns, strict=True)

    def part(self, indices: Sequence[int]) -> "VideoIndex":
        """A list of the videos at `indices` alone, in their order and in the same numbering of the classes."""
        columns = {name: column for name in _COLUMNS if (column := getattr(self, name)) is not None}
        kept: dict[str, Any] = {name: taken(column, indices) for name, column in columns.items()}
        digest = hashlib.sha256(f"{self.digest} [".encode())
        for first in range(0, len(indices), _AT_ONCE):
            digest.update((", " * (first > 0) + ", ".join(map(str, indices[first : first + _AT_ONCE]))).encode())
        digest.update(b"]")
        return replace(self, **kept, digest=digest.hexdigest(), missing=0)

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of what a person should see before training on the list."""
        videos = [f"{len(self.paths)} listed"]
        videos += [f"{self.missing} missing"] if self.missing else []
        videos += [f"{duplicates} listed more than once"] if (duplicates := self.duplicates) else []
        cut = 0 if self.segments is None else sum(segment is not None for segment in self.segments)
        videos += [f"{cut} with start and end"] if cut else []
        videos += [f"list hash {self.digest[:16]}"]
        rows = [("videos", ", ".join(videos))]
        if self.strides is not None:
            rows.append(("strides in the list", _counted(self.strides)))
        rows += self._class_rows()
        if self.groups is not None:
            rows.append(("groups", str(len(set(distinct(self.groups))))))
        rows += self.notes
        rows += [("first video", self.paths[0]), ("last video", self.paths[-1])]
        return rows

    def _class_rows(self) -> list[tuple[str, str]]:
        """What there is to say about classes: which, how many videos each has, which have none, which is doubtful."""
        if self.targets is not None:
            return self._number_rows(np.array(self.targets))
        if self.label_sets is not None:
            return self._label_rows(self.label_sets)
        if self.num_classes is None:
            return []
        if self.labels is None:
            return [("classes", f"{self.num_classes}, no labels")]
        counted = [f"{self.name_of(label)} ({count})" for label, count in self._counts.items()]
        rows = [("classes", f"{self.num_classes}: {some(counted, _CLASSES_SHOWN)}")]
        if empty := self.empty_classes:
            hint = ""
            if self.class_names is None and empty == ("0",):
                hint = "; labels begin with 1 here: classes are counted from 0"
            elif self.class_names is None and 2 * len(empty) > self.num_classes:
                hint = "; are the numbers behind the paths labels?"
            told = f"{len(empty)} of {self.num_classes}: {some(empty, 5)}{hint}"
            rows.append(("classes without video", told))
        if contradictions := self.contradictions:
            path, labels = next(iter(contradictions.items()))
            named = " and ".join(self.name_of(label) for label in labels)
            rows.append(("under two labels", f"{len(contradictions)}, the first: {path} ({named})"))
        return rows

    def _label_rows(self, sets: Sequence[tuple[int, ...]]) -> list[tuple[str, str]]:
        """How many videos each label has, and how many have none."""
        often = Counter(sets)
        counts: Counter[int] = Counter()
        for labels, count in often.items():
            counts.update(dict.fromkeys(labels, count))
        counted = [f"{self.name_of(label)} ({counts[label]})" for label in sorted(counts)]
        rows = [("labels", f"{self.num_classes}: {some(counted, _CLASSES_SHOWN)}")]
        without = often[()]
        return [*rows, ("videos without label", str(without))] if without else rows

    def _number_rows(self, targets: np.ndarray) -> list[tuple[str, str]]:
        """The range of each number."""
        names = self.class_names or tuple(str(number) for number in range(targets.shape[1]))
        told = [
            f"{name} {column.mean():.4g} ± {column.std():.4g}, from {column.min():.4g} to {column.max():.4g}"
            for name, column in zip(names, targets.T, strict=True)
        ]
        return [("numbers", some(told, _CLASSES_SHOWN))]


def _counted(strides: Sequence[int | None]) -> str:
    """As `2 for 168913 videos, 4 for 240436, dataset.frame_stride for 10`; strides that few have are only counted."""
    counts = Counter(strides)
    default = counts.pop(None, 0)
    often = [stride for stride, _ in counts.most_common(4)]
    told = [f"{stride} for {counts[stride]}" for stride in sorted(stride for stride in often if stride is not None)]
    told += [f"others for {rest}"] if (rest := counts.total() - sum(counts[stride] for stride in often)) else []
    told += [f"dataset.frame_stride for {default}"] if default else []
    return ", ".join([f"{told[0]} videos", *told[1:]])


def list_digest(
    relative: Iterable[str],
    labels: Iterable[int | str] | None,
    segments: Iterable[Segment | None] | None = None,
    strides: Iterable[int | None] | None = None,
) -> str:
    """sha256 of one line per video: path, label and, where it has them, start and end, and stride, between tabs."""
    columns: list[Iterable[str]] = [relative]
    columns.append(itertools.repeat("\t") if labels is None else (f"\t{label}" for label in labels))
    if segments is not None:
        columns.append("" if segment is None else f"\t{segment[0]!r}\t{segment[1]!r}" for segment in segments)
    if strides is not None:
        columns.append("" if stride is None else f"\tstride {stride}" for stride in strides)
    lines, digest = zip(*columns, strict=False), hashlib.sha256()  # what is repeated has no end
    while texts := ["".join((*line, "\n")) for line in itertools.islice(lines, _AT_ONCE)]:
        digest.update("".join(texts).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
