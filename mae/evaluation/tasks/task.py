"""What the outputs of a head are, and what an evaluation says of them: begin here to read, or to write, a task."""

import csv
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mae.files import replacing

Row = tuple[str, str]  # name and value, for a table
_STATUS = ("status", "reason")  # the last columns of predictions.csv


@dataclass(frozen=True)
class Evaluated:
    """What was evaluated; all of it is needed to say what a figure is a figure of."""

    videos: Sequence[str]  # as the reader of predictions.csv should see them
    labels: Sequence[int] | np.ndarray  # what is true of each: see `VideoIndex.truths`
    class_names: Sequence[str]  # one for each output; their numbers where there are no names
    views: Mapping[str, int]  # as {"clips": 5, "crops": 3}
    list_hash: str
    checkpoint: str
    checkpoint_hash: str


@dataclass(frozen=True)
class Outputs:
    """What a model said of n videos."""

    means: np.ndarray  # (n, outputs) over the views of each; 0 for those that could not be read
    evaluated: np.ndarray  # (n,) bool: could be read
    by_view: np.ndarray  # (n · views, outputs)
    failed: Mapping[int, str]  # number and reason of those that could not be read


class Task(ABC):
    """What a head is for."""

    name: ClassVar[str]  # of `mae.options.TASKS`
    metric: ClassVar[str]  # of `validation`, by which the best weights are chosen; the larger the better

    @abstractmethod
    def outputs(self, logits: np.ndarray) -> np.ndarray:
        """What is averaged over views, from what the model computes: (b, outputs) twice, float32."""

    @abstractmethod
    def validation(self, means: np.ndarray, evaluated: np.ndarray, truths: np.ndarray) -> dict[str, float | None]:
        """The figures of a quick look by name, None where there is none; arguments as in `Outputs` and `Evaluated`."""

    @abstractmethod
    def report(self, folder: Path, evaluated: Evaluated, outputs: Outputs) -> tuple[dict[str, Any], dict[str, Any]]:
        """Writes `predictions.csv`, and what else there is to see, into `folder`.

        Returns:
            The figures of all videos for `test.json`, and those of each class, label or number.

        Raises:
            ConfigError: what is true and the model do not fit.
        """

    @abstractmethod
    def rows(self, content: Mapping[str, Any]) -> list[Row]:
        """What `test.json` says, for the console."""

    def as_text(self, value: float) -> str:
        """The `metric` for a person."""
        return f"{100 * value:.2f} %"

    @property
    def files(self) -> str:
        """What `report` leaves, for the console."""
        return "test.json and predictions.csv"


def write_predictions(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]], failed: Mapping[int, str]
) -> None:
    """One line for each listed video, in the order of the list, that ends with its status.

    Args:
        columns: without the last two, `status` and `reason`.
        rows: values of the columns of each video, of one that failed as well.
        failed: number and reason of those that could not be read.
    """
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*columns, *_STATUS))
        for number, row in enumerate(rows):
            writer.writerow((*row, *(("failed", failed[number]) if number in failed else ("ok", ""))))


def distinct(names: Sequence[str]) -> list[str]:
    """Names that can be keys: those that occur twice get their number."""
    repeated = {name for name in names if list(names).count(name) > 1} if len(set(names)) < len(names) else set()
    return [f"{name} ({number})" if name in repeated else name for number, name in enumerate(names)]


def mean_of_defined(values: Iterable[float | None]) -> float | None:
    """The mean of the values that there are; None: there is none."""
    found = [value for value in values if value is not None]
    return math.fsum(found) / len(found) if found else None


def percent(value: float | None) -> str:
    """A share for the console."""
    return "none" if value is None else f"{100 * value:.2f} %"
