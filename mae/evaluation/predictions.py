"""What a model says of a video, for the console and in files."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mae.errors import ConfigError
from mae.files import replacing
from mae.monitoring.console import format_table
from mae.options import REGRESSION

FORMATS = (".csv", ".json")
COLUMNS = ("video", "start_s", "end_s", "rank", "class", "name", "probability", "status", "reason")
NUMBERS = ("video", "start_s", "end_s", "name", "value", "status", "reason")  # of a model of numbers


@dataclass(frozen=True)
class Prediction:
    """What a video, or a window of it, was taken for; or why it could not be read."""

    video: str
    start: float | None  # seconds; None: the whole video
    end: float | None
    top: tuple[tuple[int, str, float], ...] = ()  # class or label, name, probability; likeliest first
    reason: str | None = None
    numbers: tuple[tuple[str, float], ...] = ()  # name and value, where they are what the model says

    @property
    def told(self) -> list[tuple[str, str]]:
        """Name and value of what it says, for the console."""
        shown = [(name, f"{value:.5g}") for name, value in self.numbers]
        return shown or [(name, f"{probability:.4f}") for _, name, probability in self.top]


def read_back(values: Mapping[str, Any]) -> Prediction:
    """A prediction of what `dataclasses.asdict` made of it, be it by way of JSON."""
    top = tuple((number, name, probability) for number, name, probability in values["top"])
    return Prediction(**{**values, "top": top, "numbers": tuple((name, value) for name, value in values["numbers"])})


def text_of(predictions: list[Prediction]) -> str:
    """A video as a table: its classes, or of each window the likeliest one."""
    first = predictions[0]
    rows: list[tuple[str, str]] = []
    for prediction in predictions:
        if prediction.reason is not None:
            rows.append(("FAILED", prediction.reason))
        elif prediction.start is None or prediction.end is None:
            rows += prediction.told
        else:
            window = f"{prediction.start:.1f} – {prediction.end:.1f} s"
            rows.append((window, ", ".join(f"{name} {value}" for name, value in prediction.told)))
    return format_table(rows, first.video)


def write_predictions(path: Path, predictions: list[Prediction], task: str) -> None:
    """Writes the file, whole or not at all; raises `ConfigError` where it cannot be written."""
    try:
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
            if path.suffix == ".json":
                content = [_as_json(prediction) for prediction in predictions]
                file.write(json.dumps(content, indent=2) + "\n")
                return
            writer = csv.writer(file, lineterminator="\n")
            columns, rows = (NUMBERS, _rows_of_numbers) if task == REGRESSION else (COLUMNS, _as_rows)
            writer.writerow(columns)
            writer.writerows(row for prediction in predictions for row in rows(prediction))
    except OSError as error:
        raise ConfigError(f"output={path} cannot be written ({error.strerror})") from error


def _as_json(prediction: Prediction) -> dict[str, Any]:
    if prediction.reason is not None:
        return {"video": prediction.video, "status": "failed", "reason": prediction.reason}
    top = [{"class": c, "name": name, "probability": round(p, 6)} for c, name, p in prediction.top]
    said: dict[str, Any] = {"values": dict(prediction.numbers)} if prediction.numbers else {"top": top}
    times = {} if prediction.start is None else {"start_s": prediction.start, "end_s": prediction.end}
    return {"video": prediction.video, "status": "ok", **times, **said}


def _as_rows(prediction: Prediction) -> Iterator[tuple[Any, ...]]:
    if prediction.reason is not None:
        yield (prediction.video, "", "", "", "", "", "", "failed", prediction.reason)
    times = _times(prediction)
    for rank, (number, name, probability) in enumerate(prediction.top, start=1):
        yield (prediction.video, *times, rank, number, name, f"{probability:.6f}", "ok", "")


def _rows_of_numbers(prediction: Prediction) -> Iterator[tuple[Any, ...]]:
    if prediction.reason is not None:
        yield (prediction.video, "", "", "", "", "failed", prediction.reason)
    for name, value in prediction.numbers:
        yield (prediction.video, *_times(prediction), name, f"{value:.7g}", "ok", "")


def _times(prediction: Prediction) -> list[str]:
    return ["" if time is None else f"{time:.3f}" for time in (prediction.start, prediction.end)]
