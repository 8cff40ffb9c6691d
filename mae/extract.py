"""`python -m mae.extract checkpoint=… video=… output=DIR`: what the encoder makes of videos, as NumPy files.

checkpoint    a run directory, or a checkpoint of any format: pre-trained, fine-tuned, or an encoder alone
video         a video, a folder of videos, or a list of them (.csv, .txt, .tsv, .lst or .list: one `path` or `path
              label` a line)
root          what relative paths in a list are relative to (default: the list's own folder)
frames        which pictures of a directory are its frames, as img_* (default: there is one series; none: no picture
              is)
output        folder: <video>.npz for each video, and index.csv; what is there already is not computed again
tokens        true: (clips, t, h, w, d) features of every token; false (default): (clips, d), their mean
clips         evenly spaced clips of a video, or of each window (default 1: the middle); by segments 1 or 2
window        seconds: cut videos into windows of this length
stride        seconds between the starts of two windows (default: one follows the other)
frame_stride  source frames between two frames of a clip (default: as the checkpoint tells, else 4)
sampler       dense: neighbours at the stride; segments: a frame of each of as many equal parts of the video or window
              (default: of the kind the model was trained on, else dense)
dtype         float32 (default) or float16, of the files
batch_size    clips computed at a time (default 8)
resize        of videos of another aspect: crop, letterbox or stretch (default: as the checkpoint tells, else crop)
precision     float32 (default), bfloat16, float16, or auto (bfloat16 where the GPU has it), of the computation
backend       tensorflow or jax (default: as KERAS_BACKEND says, else tensorflow where it is installed)
num_heads, image_size, num_frames   of the model, where the checkpoint does not tell them or should run at others
shard         i/n: the i-th of n equal parts of the videos, as 3/8; numbers begin with 1. Once all are done, the same
              command without `shard=` writes index.csv
executor      dask://host:8786: workers of this cluster, which see the same paths and hold the model once each (default:
              this machine)

A file holds `features`; `frames` (clips, T), the frame numbers a clip is made of; `seconds` (clips, 2), when its
first and last frame are shown; and `metadata`, a JSON text. Along t, one step is one tubelet, two frames of the clip:
16 frames give 8 steps, and step i belongs to frames[2i] and frames[2i + 1]. h and w go down and right in what is shown
of the picture, its middle unless `resize` says otherwise; d is the encoder's width. Videos that cannot be read are
listed in index.csv and tried again the next time.
Exit status: 0 if at least one video was read, 2 for a mistake in the command or if no video can be read.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

import csv
import json
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange

from mae.cli.arguments import command_config
from mae.cli.backend import load_backend
from mae.cli.command import run_command
from mae.cli.shared_work import Shard
from mae.cli.trained_arguments import TrainedArguments
from mae.cli.typed import PATH
from mae.errors import BadVideo, ConfigError, check_at_least, check_choice
from mae.options import FEATURE_DTYPES

COLUMNS = ("video", "file", "clips", "status", "reason")
SETTINGS, INDEX = "settings.json", "index.csv"
GROUP = 8  # videos that a worker of a cluster is given at a time
Video = tuple[str, str]  # the name to show, and the path
EARLIER = {"sampler": "dense", "resize": "crop"}  # what folders of earlier versions were made with and do not say


@dataclass(frozen=True, kw_only=True)
class ExtractConfig(TrainedArguments):
    """The arguments of the command; see the module's own text."""

    output: str = field(metadata=PATH)
    tokens: bool = False
    clips: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("dtype", self.dtype, FEATURE_DTYPES)
        check_at_least(1, self, "clips")
        if Path(self.output).exists() and not Path(self.output).is_dir():
            raise ConfigError(f"output={self.output} is a file; give a folder")


@dataclass(frozen=True)
class Entry:
    """A line of `index.csv`."""

    video: str
    file: str = ""  # relative to the folder
    clips: int = 0
    reason: str | None = None  # why there is no file
    shape: str = field(default="", compare=False)  # of the features, where they were made just now

    def row(self) -> tuple[str, str, str, str, str]:
        failed = self.reason is not None
        clips = "" if failed else str(self.clips)
        return self.video, self.file, clips, "failed" if failed else "ok", self.reason or ""


def extract(config: ExtractConfig, say: Callable[[str], None] = print) -> list[Entry]:
    """Writes the files; `say` gets a line about each video.

    Raises:
        ConfigError: a checkpoint that does not fit, a folder with features of something else, no video that can be
            read, or a disk that is full.
    """
    load_backend(config.backend)  # only now: a mistake in the arguments is told before that
    from mae.data.lists.given import given_videos

    given = given_videos("video=", config.video, config.root, config.frames)
    loaded = _load(config)
    named = dict(zip(given.names, given.index.paths, strict=True))
    if config.share is not None:
        named = dict(config.share.of(list(named.items())))
    folder, settings = Path(config.output), _settings(config, loaded.trained)
    try:
        _check_settings(folder, settings)
        say(loaded.trained.description)
        there = {name: entry for name, path in named.items() if (entry := _existing(folder, name, path)) is not None}
        if there:
            say(f"{len(there)} of {len(named)} videos are there already")
        left = [(name, path) for name, path in named.items() if name not in there]
        made = dict(there)
        for name, entry in _of_cluster(left, config) if config.executor else _extract(left, loaded, config):
            made[name] = entry
            say(f"FAILED {name}: {entry.reason}" if entry.reason is not None else f"{entry.file}: {entry.shape}")
        entries = [made[name] for name in given.names if name in made]
        index = _write_index(folder, entries, config.share)
    except OSError as error:
        raise ConfigError(f"output={config.output} cannot be written ({error.strerror})") from error
    failed = [entry for entry in entries if entry.reason is not None]
    if failed and len(failed) == len(entries) and config.share is None:
        raise ConfigError(f"video={config.video}: none can be read; the first: {failed[0].video}: {failed[0].reason}")
    say(f"{folder}: {len(entries) - len(failed)} videos, {len(failed)} failed; see {index.name}")
    if config.share is not None:
        say(f"once all {config.share.count} parts are there, the same command without shard= writes {folder}/{INDEX}")
    return entries


@dataclass(frozen=True)
class _Loaded:
    """What it takes to extract features."""

    trained: Any
    features: Callable[[np.ndarray], np.ndarray]
    plan: Any


def _load(config: ExtractConfig) -> _Loaded:
    from mae.engines.start import start_engine_for_a_while
    from mae.evaluation.trained import load_encoder

    engine = start_engine_for_a_while()
    dtype = engine.dtype_policy(config.precision)
    trained = load_encoder(
        config.checkpoint, config.frame_stride, dtype, config.sizes, config.sampler, resize=config.resize
    )
    features = _features(engine, trained.model, config.tokens)
    return _Loaded(trained, features, trained.plan(config.clips, config.window, config.stride))


def _of_cluster(left: list[Video], config: ExtractConfig) -> Iterator[tuple[str, Entry]]:
    """As `_extract`, by the workers of a cluster."""
    from mae.data.executors import call, workers_of
    from mae.data.side_by_side import in_groups

    elsewhere = config.elsewhere("checkpoint", "output")
    with workers_of(config.executor) as workers:
        for (name, _), row in in_groups(partial(call, "mae.extract", "extract_some", elsewhere), left, workers, GROUP):
            yield name, Entry(name, reason=str(row)) if isinstance(row, BadVideo) else Entry(*row)


def extract_some(arguments: Mapping[str, Any], videos: Sequence[Video]) -> list[tuple[Any, ...]]:
    """What a worker of a cluster does: writes the files of some videos, and returns the fields of their entries.

    The model stays in the process for the next ones; threads of one wait for each other.
    """
    config = ExtractConfig(**arguments)
    with _one_at_a_time:
        load_backend(config.backend)
        return [astuple(entry) for _, entry in _extract(list(videos), _loaded_once(config), config)]


_one_at_a_time = threading.Lock()
_loaded_once = lru_cache(maxsize=1)(_load)


def _features(engine: Any, model: Any, tokens: bool) -> Callable[[np.ndarray], np.ndarray]:
    """A function of clips: the features of every token of each, (b, t, h, w, d), or their mean, (b, d)."""
    from mae.evaluation.features import encode, pool

    t, h, w = model.architecture.grid

    def features_of(videos: Any) -> Any:
        encoded = encode(model, videos)
        return rearrange(encoded, "b (t h w) d -> b t h w d", t=t, h=h, w=w) if tokens else pool(model, encoded)

    return engine.inference(model, features_of)


def _extract(videos: Sequence[Video], loaded: _Loaded, config: ExtractConfig) -> Iterator[tuple[str, Entry]]:
    """Reads, computes and writes one video after the other."""
    from mae.data.videos.file_key import file_state
    from mae.data.windows import read_videos

    trained = loaded.trained
    paths = [path for _, path in videos]
    gathered: list[dict[str, np.ndarray]] = []
    size = trained.model.architecture.picture_size
    for number, part in read_videos(paths, loaded.plan, size, trained.decoding, trained.resize):
        name, path = videos[number]
        if isinstance(part, BadVideo):
            gathered = []
            yield name, Entry(name, reason=str(part))
            continue
        clips = part.clips.reshape(-1, *part.clips.shape[2:])
        frames = part.frames.reshape(len(clips), -1)
        batches = np.split(clips, range(config.batch_size, len(clips), config.batch_size))
        computed = [loaded.features(batch).astype(config.dtype) for batch in batches]
        seconds = part.seconds(frames[:, [0, -1]])
        gathered.append({"features": np.concatenate(computed), "frames": frames, "seconds": seconds})
        if not part.more:
            arrays = {key: np.concatenate([piece[key] for piece in gathered]) for key in gathered[0]}
            told = {"file": file_state(path), "frames_per_second": part.frames_per_second}
            gathered = []
            yield name, _write_video(Path(config.output), name, arrays, trained, told)


def _write_video(folder: Path, name: str, arrays: dict[str, np.ndarray], trained: Any, told: dict[str, Any]) -> Entry:
    from mae.files import replacing

    file = _file_name(name)
    metadata = {
        "video": name,
        **told,
        "axes": "clip t h w d" if arrays["features"].ndim == 5 else "clip d",
        "checkpoint": str(trained.source),
        "checkpoint_hash": trained.checksum,
        "frame_stride": trained.frame_stride,
        "sampler": trained.sampler,
    }
    with replacing(folder / file) as temporary, open(temporary, "wb") as opened:
        np.savez(opened, **arrays, metadata=np.array(json.dumps(metadata)))  # type: ignore[arg-type]
    shape = " × ".join(map(str, arrays["features"].shape))
    return Entry(name, file, len(arrays["frames"]), shape=shape)


def _file_name(name: str) -> str:
    """Below the folder whatever the list says; extensions stay, so that a.mp4 and a.avi do not meet."""
    parts = [part for part in Path(name).parts if part not in ("/", "..")]
    return "/".join(parts) + ".npz"


def _existing(folder: Path, name: str, path: str) -> Entry | None:
    """The entry of a file that an earlier run wrote for the same video."""
    from mae.data.videos.file_key import file_state

    file = _file_name(name)
    try:
        with open(folder / file, "rb") as opened, np.load(opened, allow_pickle=False) as archive:
            told = json.loads(str(archive["metadata"]))
            same = told["video"] == name and told["file"] == file_state(path)
            return Entry(name, file, len(archive["frames"])) if same else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None  # written afresh


def _settings(config: ExtractConfig, trained: Any) -> dict[str, Any]:
    """What the features depend on besides the videos."""
    a = trained.model.architecture
    names = ("tokens", "clips", "window", "stride", "dtype", "precision")
    clips = {"frame_stride": trained.frame_stride, "num_frames": a.num_frames, "image_size": a.image_size}
    clips |= {"sampler": trained.sampler, "resize": trained.resize}
    return {"checkpoint_hash": trained.checksum, **{name: getattr(config, name) for name in names}, **clips}


def _check_settings(folder: Path, settings: dict[str, Any]) -> None:
    from mae.files import replacing

    path, settings = folder / SETTINGS, json.loads(json.dumps(settings))  # lists, as a file has them
    if not path.exists():
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(settings, indent=2) + "\n")
        return
    try:
        held = EARLIER | json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: remove {folder}, or give another output=") from error
    if other := [f"{key} {held.get(key)} → {value}" for key, value in settings.items() if held.get(key) != value]:
        raise ConfigError(f"output={folder} holds other features ({'; '.join(other)}): give another folder")


def _write_index(folder: Path, entries: list[Entry], share: Shard | None) -> Path:
    """The table of all videos, or that of a share, which the former replaces."""
    from mae.files import replacing

    path = folder / (INDEX if share is None else f"index-{share}.csv")
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(entry.row() for entry in entries)
    for part in folder.glob("index-*-of-*.csv") if share is None else ():
        part.unlink(missing_ok=True)
    return path


def main(arguments: list[str]) -> None:
    """Runs the command."""
    extract(command_config(ExtractConfig, arguments))


if __name__ == "__main__":
    run_command(main, __doc__)
