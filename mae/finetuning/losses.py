"""What a head learns from its labels, by task: the loss of each clip, in `keras.ops` and float32.

A loss is made in two steps, so that clips can be mixed between them: labels become targets (b, outputs), and outputs
are compared with targets.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from mae.checkpoints.target_scale import TargetScale
from mae.data.lists.video_index import VideoIndex
from mae.finetuning.config import FinetuneConfig
from mae.options import MULTILABEL, REGRESSION


class TaskLoss(ABC):
    """How labels of a batch become a loss."""

    @abstractmethod
    def targets(self, labels: Any) -> Any:
        """Labels of clips, rows of `VideoIndex.truths`, → (b, outputs) float32."""

    @abstractmethod
    def losses(self, outputs: Any, targets: Any) -> Any:
        """Two (b, outputs) → (b,) float32."""

    @abstractmethod
    def trivial(self, truths: np.ndarray) -> float:
        """The mean loss of who always says the same, the best for the videos whose `VideoIndex.truths` these are."""


@dataclass(frozen=True)
class ClassLoss(TaskLoss):
    """Cross-entropy, of soft targets."""

    num_classes: int
    label_smoothing: float = 0.0
    weights: tuple[float, ...] | None = None  # of each class; None: all count the same
    is_balanced: bool = False  # each class is visited equally often

    def targets(self, labels: Any) -> Any:
        return soft_targets(labels, self.num_classes, self.label_smoothing)

    def losses(self, outputs: Any, targets: Any) -> Any:
        if self.weights is not None:
            targets = targets * ops.convert_to_tensor(np.array(self.weights, np.float32))
        return soft_cross_entropy(outputs, targets)

    def trivial(self, truths: np.ndarray) -> float:
        counts = np.bincount(truths, minlength=self.num_classes)
        counts = (counts > 0).astype(float) if self.is_balanced else counts
        shares = (1 - self.label_smoothing) * counts / counts.sum() + self.label_smoothing / len(counts)
        weighed = shares if self.weights is None else shares * np.array(self.weights)
        seen = weighed[weighed > 0]
        return float(-np.sum(seen * np.log(seen / seen.sum())))


@dataclass(frozen=True)
class LabelsLoss(TaskLoss):
    """Binary cross-entropy of each label, their mean."""

    label_smoothing: float = 0.0
    positive_weights: tuple[float, ...] | None = None  # of each label where it is there; None: as where it is not

    def targets(self, labels: Any) -> Any:
        return ops.cast(labels, "float32") * (1 - self.label_smoothing) + self.label_smoothing / 2

    def losses(self, outputs: Any, targets: Any) -> Any:
        return binary_cross_entropy(outputs, targets, self.positive_weights)

    def trivial(self, truths: np.ndarray) -> float:
        shares = truths.mean(axis=0) * (1 - self.label_smoothing) + self.label_smoothing / 2
        there = shares * (1.0 if self.positive_weights is None else np.array(self.positive_weights))
        parts = np.stack([there, 1 - shares])
        return float(-np.sum(parts * np.log(np.maximum(parts / parts.sum(axis=0), 1e-30)), axis=0).mean())


@dataclass(frozen=True)
class NumbersLoss(TaskLoss):
    """A distance of numbers less their mean and in units of their deviation, the mean over the numbers of a video."""

    scale: TargetScale
    distance: str  # of `mae.options.DISTANCES`
    huber_delta: float

    def targets(self, labels: Any) -> Any:
        mean, std = (np.array(values, np.float32) for values in (self.scale.mean, self.scale.std))
        return (ops.cast(labels, "float32") - mean) / std

    def losses(self, outputs: Any, targets: Any) -> Any:
        return distance(outputs, targets, self.distance, self.huber_delta)

    def trivial(self, truths: np.ndarray) -> float:
        deviations = self.targets(truths.astype(np.float32))
        return float(np.mean(ops.convert_to_numpy(self.losses(0 * deviations, deviations))))


def task_loss(config: FinetuneConfig, train: VideoIndex, outputs: int) -> TaskLoss:
    """The loss of a run.

    Args:
        train: all of its training videos, whose classes, labels or numbers are counted.
        outputs: of the model.
    """
    truths, smoothing = train.truths(outputs), config.mixing.label_smoothing
    weighs = config.class_balance == "weights"
    if config.task == REGRESSION:
        return NumbersLoss(TargetScale.of(truths), config.regression_loss, config.huber_delta)
    if config.task == MULTILABEL:
        return LabelsLoss(smoothing, balanced_positive_weights(truths) if weighs else None)
    weights = balanced_class_weights(truths, outputs) if weighs else None
    return ClassLoss(outputs, smoothing, weights, is_balanced=config.class_balance == "sampler")


def soft_targets(labels: Any, num_classes: int, label_smoothing: float) -> Any:
    """Labels (b,) → (b, num_classes) float32: `s / classes` everywhere, and `1 - s` more at the label."""
    off = label_smoothing / num_classes
    return ops.one_hot(labels, num_classes, dtype="float32") * (1 - label_smoothing) + off


def soft_cross_entropy(logits: Any, targets: Any) -> Any:
    """Cross-entropy of each clip against a distribution over the classes: two (b, classes) → (b,), in float32."""
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    return -ops.sum(ops.cast(targets, "float32") * log_probabilities, axis=-1)


def binary_cross_entropy(logits: Any, targets: Any, positive_weights: Sequence[float] | None = None) -> Any:
    """The mean over the labels of `-(w·t·log p + (1 - t)·log(1 - p))`: two (b, labels) → (b,), in float32.

    Args:
        positive_weights: `w` of each label; None: 1.
    """
    logits, targets = ops.cast(logits, "float32"), ops.cast(targets, "float32")
    there = targets if positive_weights is None else targets * np.array(positive_weights, np.float32)
    # softplus(-x) is -log p and softplus(x) is -log(1 - p), without a logarithm of 0.
    return ops.mean(there * ops.softplus(-logits) + (1 - targets) * ops.softplus(logits), axis=-1)


def distance(outputs: Any, targets: Any, kind: str, huber_delta: float = 1.0) -> Any:
    """The mean over the numbers of `|d|` (l1), `d²` (l2) or Huber's loss (huber): two (b, k) → (b,), in float32.

    Huber's is `d²/2` up to `huber_delta`, and from there on the straight line that goes on from it.
    """
    off = ops.abs(ops.cast(outputs, "float32") - ops.cast(targets, "float32"))
    if kind == "l1":
        return ops.mean(off, axis=-1)
    if kind == "l2":
        return ops.mean(ops.square(off), axis=-1)
    line = huber_delta * (off - huber_delta / 2)
    return ops.mean(ops.where(off <= huber_delta, ops.square(off) / 2, line), axis=-1)


def balanced_class_weights(labels: np.ndarray, num_classes: int) -> tuple[float, ...]:
    """Of each class, so that all together count the same and their mean over the videos is 1; 0 where it has none."""
    counts = np.bincount(labels, minlength=num_classes)
    there = np.count_nonzero(counts)
    return tuple(float(len(labels) / (there * count)) if count else 0.0 for count in counts)


def balanced_positive_weights(truths: np.ndarray) -> tuple[float, ...]:
    """Of each label, how many videos have it not for each that has it; 1 where all have it or none."""
    positives = truths.sum(axis=0, dtype=np.int64)
    return tuple(float(len(truths) - count) / count if 0 < count < len(truths) else 1.0 for count in positives.tolist())
