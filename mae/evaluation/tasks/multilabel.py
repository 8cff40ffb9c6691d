"""Any number of labels a video: how well each is told from its absence, by scikit-learn.

Figures are of the videos that could be read. Those of a label need a video that has it (average precision, F1), and for
the area under the ROC curve one that has it not as well; means are over the labels of which there are some.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mae.evaluation.tasks.task import (
    Evaluated,
    Outputs,
    Row,
    Task,
    distinct,
    mean_of_defined,
    percent,
    write_predictions,
)
from mae.options import MULTILABEL

THRESHOLD = 0.5  # a label of at least this probability is predicted
BETWEEN = ";"  # of the labels of a video, as in lists
_MEANS = {"mAP": "average_precision", "macro_f1": "f1", "auroc": "auroc"}  # of all labels, and of each


class Multilabel(Task):
    """Outputs are probabilities of labels, each by itself."""

    name = MULTILABEL
    metric = "mAP"

    def outputs(self, logits: np.ndarray) -> np.ndarray:
        return sigmoid(logits)

    def validation(self, means: np.ndarray, evaluated: np.ndarray, truths: np.ndarray) -> dict[str, float | None]:
        return _of_all(label_figures(means[evaluated], truths[evaluated]))

    def report(self, folder: Path, evaluated: Evaluated, outputs: Outputs) -> tuple[dict[str, Any], dict[str, Any]]:
        truths, done, names = np.asarray(evaluated.labels), outputs.evaluated, distinct(evaluated.class_names)
        figures = label_figures(outputs.means[done], truths[done])
        columns = ("video", "labels", "predicted", *(f"probability of {name}" for name in names))
        write_predictions(folder / "predictions.csv", columns, _predictions(evaluated, outputs, truths), outputs.failed)
        return {**_of_all(figures), "threshold": THRESHOLD}, {"per_label": dict(zip(names, figures, strict=True))}

    def rows(self, content: Mapping[str, Any]) -> list[Row]:
        return [
            ("mAP", percent(content["mAP"])),
            (f"macro-F1 at {content['threshold']:g}", percent(content["macro_f1"])),
            ("AUROC", percent(content["auroc"])),
        ]


def label_figures(probabilities: np.ndarray, truths: np.ndarray) -> list[dict[str, float | int | None]]:
    """Of each label; None where it has no such figure.

    Args:
        probabilities: (n, labels).
        truths: (n, labels), 1 or 0.
    """
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

    made: list[dict[str, float | int | None]] = []
    for scores, is_true in zip(probabilities.T, truths.T > 0, strict=True):
        positives = int(is_true.sum())
        figures: dict[str, float | int | None] = {
            "positives": positives,
            **dict.fromkeys(("average_precision", "auroc", "f1", "precision", "recall")),
        }
        if positives:
            figures["average_precision"] = float(average_precision_score(is_true, scores))
            three = precision_recall_fscore_support(is_true, scores >= THRESHOLD, average="binary", zero_division=0)[:3]
            figures |= dict(zip(("precision", "recall", "f1"), map(float, three), strict=True))
        if 0 < positives < len(is_true):
            figures["auroc"] = float(roc_auc_score(is_true, scores))
        made.append(figures)
    return made


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Of each logit by itself, computed in float64; float32 out."""
    # Of a very negative logit the other form overflows.
    small = np.exp(-np.abs(np.asarray(logits, np.float64)))
    return np.where(np.asarray(logits) >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


def _of_all(figures: Sequence[Mapping[str, float | int | None]]) -> dict[str, float | None]:
    return {name: mean_of_defined(each[of_each] for each in figures) for name, of_each in _MEANS.items()}


def _predictions(evaluated: Evaluated, outputs: Outputs, truths: np.ndarray) -> Iterator[Sequence[Any]]:
    names = evaluated.class_names
    for number, (video, is_true, means) in enumerate(zip(evaluated.videos, truths, outputs.means, strict=True)):
        labels = _named(names, is_true > 0)
        if number in outputs.failed:
            yield video, labels, "", *[""] * len(names)
        else:
            yield video, labels, _named(names, means >= THRESHOLD), *(f"{probability:.6f}" for probability in means)


def _named(names: Sequence[str], is_there: np.ndarray) -> str:
    return BETWEEN.join(name for name, there in zip(names, is_there, strict=True) if there)
