"""One class a video: accuracy."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mae.evaluation.metrics import TOP, accuracy, softmax, top_classes, video_figures
from mae.evaluation.multi_view.confusion import confusion_picture
from mae.evaluation.report import accuracies
from mae.evaluation.tasks.task import Evaluated, Outputs, Row, Task, distinct, percent, write_predictions
from mae.monitoring.panels import save_png
from mae.options import CLASSIFICATION

PREDICTIONS = ("video", "label", "predicted", "probability", "top5")


class Classification(Task):
    """Outputs are probabilities of classes, which add up to one."""

    name = CLASSIFICATION
    metric = "top1"

    def outputs(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits)

    def validation(self, means: np.ndarray, evaluated: np.ndarray, truths: np.ndarray) -> dict[str, float | None]:
        figures = video_figures(means, evaluated, truths)
        return {"top1": figures.top1, "top5": figures.top5}

    def report(self, folder: Path, evaluated: Evaluated, outputs: Outputs) -> tuple[dict[str, Any], dict[str, Any]]:
        labels, names = np.asarray(evaluated.labels), evaluated.class_names
        figures = video_figures(outputs.means, outputs.evaluated, labels)
        write_predictions(folder / "predictions.csv", PREDICTIONS, _predictions(evaluated, outputs), outputs.failed)
        save_png(folder / "confusion.png", confusion_picture(figures.confusion, names))
        views = int(np.prod(list(evaluated.views.values())))
        done, of_views = np.repeat(outputs.evaluated, views), np.repeat(labels, views)
        view_top1, view_top5 = accuracy(outputs.by_view[done], of_views[done]) if done.any() else (0.0, 0.0)
        said = top_classes(outputs.means[outputs.evaluated], 1)[:, 0]
        balanced, precision, recall = precision_and_recall(labels[outputs.evaluated], said, len(names))
        of_all = {
            **accuracies(figures),
            "balanced_accuracy": balanced,
            "top1_of_single_views": view_top1,
            "top5_of_single_views": view_top5,
            "top5_is_top": figures.top_k,  # 5, unless there are fewer classes
        }
        keys = distinct(names)
        of_each = {
            "per_class": dict(zip(keys, figures.per_class, strict=True)),
            "precision_per_class": dict(zip(keys, precision, strict=True)),
            "recall_per_class": dict(zip(keys, recall, strict=True)),
        }
        return of_all, of_each

    def rows(self, content: Mapping[str, Any]) -> list[Row]:
        rows = [
            ("top-1", percent(content["top1"])),
            (f"top-{content['top5_is_top']}", percent(content["top5"])),
        ]
        if content["videos"]["failed"]:
            rows.append(("top-1 of evaluated", percent(content["top1_of_evaluated"])))
        rows.append(("mean over classes", percent(content["mean_class_accuracy"])))
        return rows

    @property
    def files(self) -> str:
        return "test.json, predictions.csv and confusion.png"


def precision_and_recall(
    labels: np.ndarray, said: np.ndarray, num_classes: int
) -> tuple[float | None, list[float | None], list[float | None]]:
    """Balanced accuracy, and precision and recall of each class; None where there is no video to say it of.

    Args:
        labels, said: (n,) true classes, and what they were taken for.
    """
    if not len(labels):
        nothing: list[float | None] = [None] * num_classes
        return None, nothing, nothing
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, _, _ = precision_recall_fscore_support(
        labels, said, labels=range(num_classes), zero_division=np.nan
    )
    return float(np.nanmean(recall)), _or_none(precision), _or_none(recall)


def _or_none(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _predictions(evaluated: Evaluated, outputs: Outputs) -> Iterator[Sequence[Any]]:
    """Classes by their names; `top5`: the likeliest first, separated by `|`."""
    names = evaluated.class_names
    for number, (video, label) in enumerate(zip(evaluated.videos, evaluated.labels, strict=True)):
        if number in outputs.failed:
            yield video, names[label], "", "", ""
            continue
        top = top_classes(outputs.means[number : number + 1], TOP)[0]
        listed = "|".join(names[k] for k in top)
        yield video, names[label], names[top[0]], f"{outputs.means[number, top[0]]:.6f}", listed
