"""`python -m mae.predict checkpoint=… video=…`: what a fine-tuned model says of videos.

checkpoint    a run directory, or a fine-tuned checkpoint of any format; it must hold a trained head
video         a video, a folder of videos, or a list of them (.csv, .txt, .tsv, .lst or .list: one `path` or `path
              label` a line)
root          what relative paths in a list are relative to (default: the list's own folder)
frames        which pictures of a directory are its frames, as img_* (default: there is one series; none: no picture
              is)
clips         evenly spaced clips whose probabilities are averaged (default 5, by segments 2; in each window 1)
window        seconds: cut videos into windows of this length and say what happens in each
stride        seconds between the starts of two windows (default: one follows the other)
frame_stride  source frames between two frames of a clip (default: as the checkpoint tells, else 4)
sampler       dense: neighbours at the stride; segments: a frame of each of as many equal parts of the video or window
              (default: of the kind the model was trained on, else dense)
resize        of videos of another aspect: crop, letterbox or stretch (default: as the checkpoint tells, else crop)
classes       file of class names, one a line or {number: name} (default: the checkpoint's own, else numbers)
top           classes or labels shown (default 5); of a model of numbers all are
output        file to write as well, .csv or .json
batch_size    clips computed at a time (default 8)
precision     float32 (default), bfloat16, float16, or auto: bfloat16 where the GPU has it
backend       tensorflow or jax (default: as KERAS_BACKEND says, else tensorflow where it is installed)
num_heads, image_size, num_frames   of the model, where the checkpoint does not tell them or should run at others

Of a model of several labels each has a probability of its own; a model of numbers says these, in their unit.
A clip is what lies in the middle of the picture, unless `resize` says otherwise. Videos that cannot be read are
reported and the others go on.
Exit status: 0 if at least one video was read, 2 for a mistake in the command or if no video can be read.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

import csv
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mae.cli.arguments import command_config
from mae.cli.backend import load_backend
from mae.cli.command import run_command
from mae.cli.trained_arguments import TrainedArguments
from mae.cli.typed import PATH
from mae.errors import BadVideo, ConfigError, check_at_least, check_choice
from mae.monitoring.console import format_table
from mae.options import REGRESSION

FORMATS = (".csv", ".json")
COLUMNS = ("video", "start_s", "end_s", "rank", "class", "name", "probability", "status", "reason")
NUMBERS = ("video", "start_s", "end_s", "name", "value", "status", "reason")  # of a model of numbers
CLIPS = {"dense": 5, "segments": 2}  # of a whole video, as the published tests of Kinetics-400 and of SSv2


@dataclass(frozen=True, kw_only=True)
class PredictConfig(TrainedArguments):
    """The arguments of the command; see the module's own text."""

    clips: int | None = None
    classes: str | None = field(default=None, metadata=PATH)
    top: int = 5
    output: str | None = field(default=None, metadata=PATH)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(1, self, "clips", "top")
        if self.output is None:
            return
        output, video = Path(self.output), Path(self.video)
        check_choice("format of output=", output.suffix, FORMATS)
        if not output.parent.is_dir():
            raise ConfigError(f"output={self.output}: there is no directory {output.parent}")
        if output.exists() and video.exists() and output.samefile(video):
            raise ConfigError(f"output={self.output} is the list of videos itself; give another name")


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


def predict(config: PredictConfig, say: Callable[[str], None] = print) -> list[Prediction]:
    """Classifies the videos; `say` gets the text about each as soon as it is known.

    Raises:
        ConfigError: a checkpoint without a trained head, no video that can be read, or an output that cannot be
            written.
    """
    load_backend(config.backend)  # only now: a mistake in the arguments is told before that
    from mae.data.lists.given import given_videos
    from mae.data.windows import ClipPlan
    from mae.engines.start import start_engine_for_a_while
    from mae.evaluation.trained import load_classifier

    given = given_videos("video=", config.video, config.root, config.frames)
    engine = start_engine_for_a_while()
    dtype = engine.dtype_policy(config.precision)
    trained = load_classifier(
        config.checkpoint, config.classes, config.frame_stride, dtype, config.sizes, config.sampler, config.resize
    )
    logits = engine.inference(trained.model, lambda videos: trained.model(videos, training=False))
    slides = config.window is not None or config.stride is not None
    clips = config.clips or (1 if slides else CLIPS[trained.sampler])
    num_frames = trained.model.architecture.num_frames
    plan = ClipPlan(num_frames, trained.frame_stride, clips, config.window, config.stride, trained.sampler)
    say(trained.description)
    made: list[Prediction] = []
    for predictions in _by_video(given, trained, logits, plan, config):
        made += predictions
        say(_text(predictions))
    failed = [prediction for prediction in made if prediction.reason is not None]
    if all(prediction.reason is not None for prediction in made):
        raise ConfigError(f"video={config.video}: none can be read; the first: {failed[0].video}: {failed[0].reason}")
    if config.output is not None:
        _write(Path(config.output), made, trained.model.task)
        say(f"written: {config.output}")
    return made


def _by_video(
    given: Any, trained: Any, logits: Callable[[np.ndarray], np.ndarray], plan: Any, config: PredictConfig
) -> Iterator[list[Prediction]]:
    """Predictions of one video after the other."""
    from mae.data.windows import read_videos
    from mae.evaluation.metrics import top_classes
    from mae.evaluation.tasks.table import TASKS

    task = TASKS[trained.model.task]
    paths, names = given.index.paths, given.names
    gathered: list[Prediction] = []
    current = 0
    for number, part in read_videos(
        paths, plan, trained.model.architecture.picture_size, trained.decoding, trained.resize
    ):
        if number != current:
            yield gathered
            gathered, current = [], number
        if isinstance(part, BadVideo):
            gathered.append(Prediction(names[number], None, None, reason=str(part)))
            continue
        clips = part.clips.reshape(-1, *part.clips.shape[2:])
        batches = np.split(clips, range(config.batch_size, len(clips), config.batch_size))
        scores = task.outputs(np.concatenate([logits(batch) for batch in batches]))
        means = scores.reshape(*part.clips.shape[:2], -1).mean(axis=1)
        times = part.seconds(part.windows) if plan.slides else np.full((len(means), 2), np.nan)
        for mean, best, (start, end) in zip(means, top_classes(means, config.top), times, strict=True):
            whole = np.isnan(start)
            prediction = Prediction(names[number], None if whole else start, None if whole else end)
            if task.name == REGRESSION:
                numbers = tuple(zip(trained.class_names, map(float, mean), strict=True))
                gathered.append(replace(prediction, numbers=numbers))
            else:
                top = tuple((int(c), trained.class_names[c], float(mean[c])) for c in best)
                gathered.append(replace(prediction, top=top))
    yield gathered


def _text(predictions: list[Prediction]) -> str:
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


def _write(path: Path, predictions: list[Prediction], task: str) -> None:
    """The file, whole or not at all."""
    from mae.files import replacing

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


def main(arguments: list[str]) -> None:
    """Runs the command."""
    made = predict(command_config(PredictConfig, arguments))
    failed = {prediction.video for prediction in made if prediction.reason is not None}
    if failed:
        print(f"{len(failed)} videos could not be read", file=sys.stderr)


if __name__ == "__main__":
    run_command(main, __doc__)
