"""Numbers of a video: how far from the true ones, by scikit-learn, in their own unit.

Figures are of the videos that could be read; with several numbers, those of all are means over the numbers.
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
    write_predictions,
)
from mae.options import REGRESSION

_FIGURES = ("mae", "rmse", "r2", "pearson")


class Regression(Task):
    """Outputs are the numbers themselves."""

    name = REGRESSION
    metric = "r2"  # it has no unit, so that several numbers count alike

    def outputs(self, logits: np.ndarray) -> np.ndarray:
        return np.asarray(logits, np.float32)

    def validation(self, means: np.ndarray, evaluated: np.ndarray, truths: np.ndarray) -> dict[str, float | None]:
        return _of_all(number_figures(means[evaluated], truths[evaluated]))

    def report(self, folder: Path, evaluated: Evaluated, outputs: Outputs) -> tuple[dict[str, Any], dict[str, Any]]:
        truths, done, names = np.asarray(evaluated.labels), outputs.evaluated, distinct(evaluated.class_names)
        figures = number_figures(outputs.means[done], truths[done])
        columns = ("video", *(column for name in names for column in (name, predicted(name))))
        write_predictions(folder / "predictions.csv", columns, _predictions(evaluated, outputs, truths), outputs.failed)
        return _of_all(figures), {"per_number": dict(zip(names, figures, strict=True))}

    def rows(self, content: Mapping[str, Any]) -> list[Row]:
        of_each = content["per_number"]
        rows = [("mean over numbers", _told(content))] if len(of_each) > 1 else []
        return [*rows, *((name, _told(figures)) for name, figures in of_each.items())]

    def as_text(self, value: float) -> str:
        return f"R² {value:.4f}"


def predicted(name: str) -> str:
    """The column of `predictions.csv` with what the model says; the true number is in the one of the name itself."""
    return f"predicted {name}"


def number_figures(said: np.ndarray, truths: np.ndarray) -> list[dict[str, float | None]]:
    """Mean absolute and root mean squared error, R² and Pearson's correlation of each number.

    R² and the correlation are None for less than two videos, the latter also where all true or all said numbers are the
    same; R² of true ones that are all the same is 1 where they are met and 0 elsewhere.

    Args:
        said, truths: (n, numbers).
    """
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    made: list[dict[str, float | None]] = []
    for ours, theirs in zip(np.asarray(said, np.float64).T, truths.T, strict=True):
        figures: dict[str, float | None] = dict.fromkeys(_FIGURES)
        if len(theirs):
            figures["mae"] = float(mean_absolute_error(theirs, ours))
            figures["rmse"] = float(root_mean_squared_error(theirs, ours))
        if len(theirs) > 1:
            figures["r2"] = float(r2_score(theirs, ours))
            if np.ptp(ours) > 0 and np.ptp(theirs) > 0:
                figures["pearson"] = float(np.corrcoef(ours, theirs)[0, 1])
        made.append(figures)
    return made


def _of_all(figures: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    return {name: mean_of_defined(each[name] for each in figures) for name in _FIGURES}


def _told(figures: Mapping[str, Any]) -> str:
    named = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "pearson": "Pearson"}
    return ", ".join(f"{named[name]} {figures[name]:.4g}" for name in _FIGURES if figures[name] is not None) or "none"


def _predictions(evaluated: Evaluated, outputs: Outputs, truths: np.ndarray) -> Iterator[Sequence[Any]]:
    for number, (video, true, means) in enumerate(zip(evaluated.videos, truths, outputs.means, strict=True)):
        said = [""] * len(true) if number in outputs.failed else [f"{value:.7g}" for value in means]
        yield video, *(field for pair in zip((f"{value:.7g}" for value in true), said, strict=True) for field in pair)
