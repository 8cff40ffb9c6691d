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
shard         i/n: the i-th of n equal parts of the videos, as 3/8; numbers begin with 1. Once all are done, the same
              command without `shard=` writes the output
executor      dask://host:8786: workers of this cluster, which see the same paths and hold the model once each (default:
              this machine)

Of a model of several labels each has a probability of its own; a model of numbers says these, in their unit.
A clip is what lies in the middle of the picture, unless `resize` says otherwise. Videos that cannot be read are
reported and the others go on. With an output, what is known already is kept in a folder beside it, `<output>.parts`,
until the output is written: the same command goes on where it was interrupted.
Exit status: 0 if at least one video was read, 2 for a mistake in the command or if no video can be read.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from mae.cli.arguments import command_config
from mae.cli.backend import load_backend
from mae.cli.command import run_command
from mae.cli.trained_arguments import TrainedArguments
from mae.cli.typed import PATH
from mae.errors import BadVideo, ConfigError, check_at_least, check_choice
from mae.evaluation.predictions import FORMATS, Prediction, read_back, text_of, write_predictions
from mae.options import REGRESSION

GROUP = 8  # videos that a worker of a cluster is given at a time
CLIPS = {"dense": 5, "segments": 2}  # of a whole video, as the published tests of Kinetics-400 and of SSv2

Video = tuple[str, str]  # the name to show, and the path


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
        if self.shard is not None and self.output is None:
            raise ConfigError(f"shard={self.shard} needs output=, beside which all parts keep what they find out")
        if self.output is None:
            return
        output, video = Path(self.output), Path(self.video)
        check_choice("format of output=", output.suffix, FORMATS)
        if not output.parent.is_dir():
            raise ConfigError(f"output={self.output}: there is no directory {output.parent}")
        if output.exists() and video.exists() and output.samefile(video):
            raise ConfigError(f"output={self.output} is the list of videos itself; give another name")


def predict(config: PredictConfig, say: Callable[[str], None] = print) -> list[Prediction]:
    """Classifies the videos; `say` gets the text about each as soon as it is known.

    Raises:
        ConfigError: a checkpoint without a trained head, no video that can be read, or an output that cannot be
            written.
    """
    load_backend(config.backend)  # only now: a mistake in the arguments is told before that
    from mae.data.lists.given import given_videos

    given = given_videos("video=", config.video, config.root, config.frames)
    loaded = _load(config)
    say(loaded.trained.description)
    named = dict(zip(given.names, given.index.paths, strict=True))
    if config.share is not None:
        named = dict(config.share.of(list(named.items())))
    made = _predict_all(list(named.items()), loaded, config, say)
    everything = [prediction for name in given.names for prediction in made.get(name, ())]
    failed = [prediction for prediction in everything if prediction.reason is not None]
    if config.share is not None:
        told = "the same command without shard= writes"
        say(f"{len(made)} videos; once all {config.share.count} parts are done, {told} {config.output}")
    elif len(failed) == len(everything):
        raise ConfigError(f"video={config.video}: none can be read; the first: {failed[0].video}: {failed[0].reason}")
    elif config.output is not None:
        write_predictions(Path(config.output), everything, loaded.trained.model.task)
        _parts(config, loaded.trained).remove()
        say(f"written: {config.output}")
    return everything


@dataclass(frozen=True)
class _Loaded:
    """What it takes to predict."""

    trained: Any
    logits: Callable[[np.ndarray], np.ndarray]
    plan: Any


def _load(config: PredictConfig) -> _Loaded:
    from mae.engines.start import start_engine_for_a_while
    from mae.evaluation.trained import load_classifier

    engine = start_engine_for_a_while()
    dtype = engine.dtype_policy(config.precision)
    trained = load_classifier(
        config.checkpoint, config.classes, config.frame_stride, dtype, config.sizes, config.sampler, config.resize
    )
    logits = engine.inference(trained.model, lambda videos: trained.model(videos, training=False))
    slides = config.window is not None or config.stride is not None
    clips = config.clips or (1 if slides else CLIPS[trained.sampler])
    return _Loaded(trained, logits, trained.plan(clips, config.window, config.stride))


def _predict_all(
    videos: Sequence[Video], loaded: _Loaded, config: PredictConfig, say: Callable[[str], None]
) -> dict[str, list[Prediction]]:
    """Predictions by the names of videos; those that an earlier call or another share has made are taken over."""
    from mae.data.videos.file_key import file_state

    made: dict[str, list[Prediction]] = {}
    if config.output is None:
        parts = None
    else:
        parts = _parts(config, loaded.trained)
        for name, path in videos:
            state, found = parts.known.get(name, (None, None))
            if state is not None and state == file_state(path):
                made[name] = [read_back(values) for values in found]
        if made:
            say(f"{len(made)} of {len(videos)} videos are known already")
    left = [(name, path) for name, path in videos if name not in made]
    paths = dict(left)
    try:
        for predictions in _of_cluster(left, config) if config.executor else _by_video(left, loaded, config):
            name = predictions[0].video
            made[name] = predictions
            say(text_of(predictions))
            # What cannot be read may be so for now.
            if parts is not None and all(prediction.reason is None for prediction in predictions):
                parts.put(name, [file_state(paths[name]), [asdict(prediction) for prediction in predictions]])
    finally:
        if parts is not None:
            parts.close()
    return made


def _parts(config: PredictConfig, trained: Any) -> Any:
    """What shares of the videos have found out with this model and these settings."""
    from mae.data.parts import Parts

    settings = {name: getattr(config, name) for name in ("clips", "window", "stride", "top", "precision")}
    a = trained.model.architecture
    settings |= {"num_frames": a.num_frames, "image_size": a.image_size, "frame_stride": trained.frame_stride}
    settings |= {
        "sampler": trained.sampler,
        "resize": trained.resize,
        "names": trained.class_names,
        "checkpoint_hash": trained.checksum,
    }
    assert config.output is not None
    return Parts(Path(config.output).absolute(), settings, config.share)


def _of_cluster(left: Sequence[Video], config: PredictConfig) -> Iterator[list[Prediction]]:
    """As `_by_video`, by the workers of a cluster, in whatever order they end."""
    from mae.data.executors import call, workers_of
    from mae.data.side_by_side import in_groups

    work = partial(call, "mae.predict", "predict_some", config.elsewhere("checkpoint", "classes"))
    with workers_of(config.executor) as workers:
        for (name, _), found in in_groups(work, left, workers, GROUP):
            if isinstance(found, BadVideo):
                yield [Prediction(name, None, None, reason=str(found))]
            else:
                yield [read_back(values) for values in found]


def predict_some(arguments: Mapping[str, Any], videos: Sequence[Video]) -> list[list[dict[str, Any]]]:
    """What a worker of a cluster does: the predictions of each of some videos, as dictionaries.

    The model stays in the process for the next ones; threads of one wait for each other.
    """
    config = PredictConfig(**arguments)
    with _one_at_a_time:
        load_backend(config.backend)
        found = _by_video(videos, _loaded_once(config), config)
        return [[asdict(prediction) for prediction in predictions] for predictions in found]


_one_at_a_time = threading.Lock()
_loaded_once = lru_cache(maxsize=1)(_load)


def _by_video(videos: Sequence[Video], loaded: _Loaded, config: PredictConfig) -> Iterator[list[Prediction]]:
    """Predictions of one video after the other."""
    from mae.data.windows import read_videos
    from mae.evaluation.metrics import top_classes
    from mae.evaluation.tasks.table import TASKS

    trained, plan = loaded.trained, loaded.plan
    task = TASKS[trained.model.task]
    names, paths = [name for name, _ in videos], [path for _, path in videos]
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
        scores = task.outputs(np.concatenate([loaded.logits(batch) for batch in batches]))
        means = scores.reshape(*part.clips.shape[:2], -1).mean(axis=1)
        times = part.seconds(part.windows) if plan.slides else np.full((len(means), 2), np.nan)
        for mean, best, (start, end) in zip(means, top_classes(means, config.top), times.tolist(), strict=True):
            whole = np.isnan(start)
            prediction = Prediction(names[number], None if whole else start, None if whole else end)
            if task.name == REGRESSION:
                numbers = tuple(zip(trained.class_names, map(float, mean), strict=True))
                gathered.append(replace(prediction, numbers=numbers))
            else:
                top = tuple((int(c), trained.class_names[c], float(mean[c])) for c in best)
                gathered.append(replace(prediction, top=top))
    if gathered:
        yield gathered


def main(arguments: list[str]) -> None:
    """Runs the command."""
    made = predict(command_config(PredictConfig, arguments))
    failed = {prediction.video for prediction in made if prediction.reason is not None}
    if failed:
        print(f"{len(failed)} videos could not be read", file=sys.stderr)


if __name__ == "__main__":
    run_command(main, __doc__)
