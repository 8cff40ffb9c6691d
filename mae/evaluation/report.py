"""What an evaluation leaves on disk: `test.json`, `predictions.csv` and a picture of the confusion matrix."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mae.evaluation.metrics import Figures
from mae.files import replacing

PACKAGES = ("mae-video", "tensorflow", "keras", "numpy", "av", "opencv-python-headless")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes figures for people and programs, all of the file or nothing."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    with replacing(path) as temporary:
        # What of a file name is no UTF-8 becomes the escape that JSON has for it.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def accuracies(figures: Figures) -> dict[str, float]:
    """The shares of `figures`, named as in every report."""
    return {
        "top1": figures.top1,
        "top5": figures.top5,
        "top1_of_evaluated": figures.top1_evaluated,
        "top5_of_evaluated": figures.top5_evaluated,
        "mean_class_accuracy": figures.mean_class_accuracy,
    }


def video_counts(figures: Figures) -> dict[str, int]:
    """How many videos figures are about."""
    return {"listed": figures.listed, "evaluated": figures.evaluated, "failed": figures.failed}


def versions() -> dict[str, str]:
    """Of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # OpenCV has wheels of several names
            found[package] = "not installed"
    return found
