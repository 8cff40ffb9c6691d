"""What a multi-view test leaves behind."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mae.evaluation.metrics import TOP, Figures, accuracy, top_classes, video_figures
from mae.evaluation.multi_view.confusion import confusion_picture
from mae.evaluation.multi_view.scores import ViewScores
from mae.evaluation.report import accuracies, versions, video_counts, write_json
from mae.files import replacing
from mae.monitoring.panels import save_png

PREDICTIONS = ("video", "label", "predicted", "probability", "top5", "status", "reason")


@dataclass(frozen=True)
class Evaluated:
    """What was evaluated; all of it is needed to say what a figure is a figure of."""

    videos: Sequence[str]  # as the reader of predictions.csv should see them
    labels: Sequence[int]
    class_names: Sequence[str]  # one for each class; the classes' numbers where there are no names
    views: Mapping[str, int]  # as {"clips": 5, "crops": 3}
    list_hash: str
    checkpoint: str
    checkpoint_hash: str


def write_report(folder: Path, evaluated: Evaluated, scores: ViewScores) -> dict[str, Any]:
    """Writes `predictions.csv`, `confusion.png` and, last, `test.json`; returns what is in the latter.

    Raises:
        ConfigError: labels and classes do not fit.
        ValueError: views are missing.
    """
    probabilities, done = scores.video_probabilities()
    figures = video_figures(probabilities, done, evaluated.labels)
    write_predictions(folder / "predictions.csv", evaluated, probabilities, scores.failed)
    save_png(folder / "confusion.png", confusion_picture(figures.confusion, evaluated.class_names))
    content = test_figures(figures, evaluated, scores)
    write_json(folder / "test.json", content)
    return content


def test_figures(figures: Figures, evaluated: Evaluated, scores: ViewScores) -> dict[str, Any]:
    """The content of `test.json`."""
    views = int(np.prod(list(evaluated.views.values())))
    by_view, done = scores.view_probabilities()
    labels = np.repeat(np.asarray(evaluated.labels), views)
    view_top1, view_top5 = accuracy(by_view[done], labels[done]) if done.any() else (0.0, 0.0)
    return {
        **accuracies(figures),
        "top1_of_single_views": view_top1,
        "top5_of_single_views": view_top5,
        "top5_is_top": figures.top_k,  # 5, unless there are fewer classes
        "videos": video_counts(figures),
        "views": dict(evaluated.views),
        "list_hash": evaluated.list_hash,
        "checkpoint": evaluated.checkpoint,
        "checkpoint_hash": evaluated.checkpoint_hash,
        "versions": versions(),
        "per_class": dict(zip(_distinct(evaluated.class_names), figures.per_class, strict=True)),
    }


def write_predictions(path: Path, evaluated: Evaluated, probabilities: np.ndarray, failed: Mapping[int, str]) -> None:
    """One line for each listed video, in the order of the list.

    `label`, `predicted` and `top5` (likeliest first, separated by `|`) are class names; a failed video has the
    status `failed`, the reason, and no prediction.
    """
    names = evaluated.class_names
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(PREDICTIONS)
        for i, (video, label) in enumerate(zip(evaluated.videos, evaluated.labels, strict=True)):
            if i in failed:
                writer.writerow((video, names[label], "", "", "", "failed", failed[i]))
                continue
            top = top_classes(probabilities[i : i + 1], TOP)[0]
            best = f"{probabilities[i, top[0]]:.6f}"
            listed = "|".join(names[k] for k in top)
            writer.writerow((video, names[label], names[top[0]], best, listed, "ok", ""))


def _distinct(names: Sequence[str]) -> list[str]:
    """Names that can be keys: those that occur twice get their class number."""
    repeated = {name for name in names if list(names).count(name) > 1} if len(set(names)) < len(names) else set()
    return [f"{name} ({number})" if name in repeated else name for number, name in enumerate(names)]
