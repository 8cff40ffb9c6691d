"""Accuracy per video: figures from one row of class probabilities for each listed video.

NumPy only. `n` listed videos, `C` classes. Of equal probabilities the lower class counts as the likelier one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mae.errors import ConfigError

TOP = 5


@dataclass(frozen=True)
class Figures:
    """What an evaluation says. Shares lie in [0, 1].

    Of a list with unreadable videos there are two accuracies: over all listed videos, where the failed ones count as
    wrong, and over those that were evaluated.
    """

    listed: int
    evaluated: int
    top_k: int  # what "top 5" is: 5, or the number of classes where there are fewer
    top1: float  # over all listed
    top5: float
    top1_evaluated: float  # over the evaluated; 0 where there are none
    top5_evaluated: float
    per_class: tuple[float | None, ...]  # top 1 over the listed videos of a class; None: it has none
    confusion: np.ndarray  # (C, C) int64, evaluated videos of class [row] that were taken for [column]

    @property
    def failed(self) -> int:
        return self.listed - self.evaluated

    @property
    def mean_class_accuracy(self) -> float:
        """The mean of `per_class` over the classes that have videos."""
        return float(np.mean([share for share in self.per_class if share is not None]))


def video_figures(probabilities: np.ndarray, evaluated: np.ndarray, labels: Sequence[int] | np.ndarray) -> Figures:
    """Figures of an evaluation.

    Args:
        probabilities: (n, C); any scores that grow with the probability do.
        evaluated: (n,) bool; rows of the others are not looked at.
        labels: (n,) classes from 0.

    Raises:
        ConfigError: a label outside [0, C).
    """
    n, num_classes = probabilities.shape
    labels = checked_labels(labels, num_classes)
    if not n or len(labels) != n or evaluated.shape != (n,):
        raise ValueError(f"{n} rows of probabilities, {len(labels)} labels and {evaluated.shape} flags do not fit")
    top = top_classes(probabilities, TOP)
    hits = (top == labels[:, None]) & evaluated[:, None]
    right, among = hits[:, 0], hits.any(axis=1)
    count = int(evaluated.sum())
    confusion = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(confusion, (labels[evaluated], top[evaluated, 0]), 1)
    members = np.bincount(labels, minlength=num_classes)
    found = np.bincount(labels[right], minlength=num_classes)
    return Figures(
        listed=n,
        evaluated=count,
        top_k=top.shape[1],
        top1=float(right.mean()),
        top5=float(among.mean()),
        top1_evaluated=int(right.sum()) / max(count, 1),
        top5_evaluated=int(among.sum()) / max(count, 1),
        per_class=tuple(int(k) / int(m) if m else None for k, m in zip(found, members, strict=True)),
        confusion=confusion,
    )


def top_classes(probabilities: np.ndarray, k: int) -> np.ndarray:
    """The `k` likeliest classes of each row, likeliest first: (n, C) → (n, min(k, C)) int64."""
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :k]


def accuracy(probabilities: np.ndarray, labels: Sequence[int] | np.ndarray) -> tuple[float, float]:
    """Top 1 and top 5 where every row was evaluated, as those of a probe."""
    figures = video_figures(probabilities, np.ones(len(probabilities), bool), labels)
    return figures.top1, figures.top5


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, computed in float64; float32 out."""
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32)


def checked_labels(labels: Sequence[int] | np.ndarray, num_classes: int) -> np.ndarray:
    """Labels as (n,) int64.

    Raises:
        ConfigError: one outside [0, num_classes), which the list and the model's head do not agree on.
    """
    labels = np.asarray(labels, np.int64)
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise ConfigError(
            f"video {wrong[0] + 1} of the list has label {labels[wrong[0]]}, and the model has the {num_classes} "
            f"classes 0 … {num_classes - 1} ({len(wrong)} such labels): the list belongs to another set of classes"
        )
    return labels
