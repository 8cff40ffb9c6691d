"""The embedded default data set: rendered on first use into real video files, one directory per class."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import cv2
import numpy as np

from mae.data.config import ShapesDataset
from mae.data.shapes.motion import BACKGROUNDS, CLASS_NAMES, CLASS_SETS, render_video
from mae.errors import ConfigError, check_at_least, check_choice
from mae.files import cache_directory
from mae.seeds import generator

FRAMES_PER_SECOND = 12.0
CODEC = "HFYU"  # lossless in RGB with every OpenCV wheel; MJPG and mp4v halve the colour resolution
VERSION = 1  # of what is rendered: raise it when the same seed gives other videos
MANIFEST = "shapes.json"  # at the root: what these files were rendered from


def shapes_root(config: ShapesDataset) -> Path:
    """Where the videos of this configuration lie, rendered or not."""
    if config.root is not None:
        return Path(config.root).expanduser().resolve()
    kind = "".join(f"-{word}" for word in (config.background, config.classes) if word not in ("ramp", "all"))
    name = f"shapes-v{VERSION}{kind}-{config.videos_per_class}-{config.seed}"
    return cache_directory().resolve() / name


def ensure_shapes(config: ShapesDataset, progress: Callable[[int, int], None] | None = None) -> Path:
    """The directory with the videos as `<class>/<class>_<0000>.avi`; renders them where they are missing.

    `progress(done, total)` is called in this thread after every rendered video. The files are made in a
    temporary directory beside the root and appear under it in one rename, so an interrupted rendering leaves
    nothing half-made and two processes may start at once. Nothing that exists is ever changed: a directory
    with other content, or with some of the videos missing, raises `ConfigError`.
    """
    check_at_least(1, config, "videos_per_class", prefix="dataset.")
    check_at_least(0, config, "seed", prefix="dataset.")
    check_choice("dataset.classes", config.classes, CLASS_SETS)
    check_choice("dataset.background", config.background, BACKGROUNDS)
    root = shapes_root(config)
    try:
        if not _is_complete(root, config):
            _render_beside(root, config, progress)
    except OSError as error:
        raise ConfigError(f"dataset.root={root}: {error.strerror or error}; choose another place") from error
    return root


def print_rendering(done: int, total: int) -> None:
    """Prints the beginning and the end of rendering: the `progress` of commands."""
    if done in (1, total):
        print(f"rendered {done} of {total} videos of the demo set", flush=True)


def _is_complete(root: Path, config: ShapesDataset) -> bool:
    """Whether the videos are there; False where nothing is; `ConfigError` where something else is."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"dataset.root={root} holds something else; name a new or an empty directory")
    found = {"background": "ramp", **found}  # what was rendered before there was another kind does not say it
    for key, expected in _manifest(config).items():
        if found.get(key) != expected:
            raise ConfigError(
                f"dataset.root={root} was rendered with {key}={found.get(key)}, not {expected}; "
                "choose another dataset.root or leave it out"
            )
    paths = [root / path for path, _, _ in _videos(config)]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ConfigError(
            f"dataset.root={root} lacks {len(missing)} of {len(paths)} videos, first {missing[0].name}; "
            "delete that directory to have it rendered again"
        )
    return True


def _manifest(config: ShapesDataset) -> dict[str, object]:
    return {
        "version": VERSION,
        "videos_per_class": config.videos_per_class,
        "seed": config.seed,
        "classes": list(CLASS_SETS[config.classes]),
        "background": config.background,
    }


def _videos(config: ShapesDataset) -> list[tuple[str, str, np.random.Generator]]:
    """Relative path, class and generator of every video."""
    return [
        (f"{name}/{name}_{number:04d}.avi", name, generator(config.seed, "shapes", label, number))
        for label, name in enumerate(CLASS_NAMES)
        if name in CLASS_SETS[config.classes]
        for number in range(config.videos_per_class)
    ]


def _render_beside(root: Path, config: ShapesDataset, progress: Callable[[int, int], None] | None) -> None:
    """Renders into a temporary directory next to `root` and renames it."""
    root.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        rendered = staging / root.name  # one level down: mkdtemp's own directory is closed to other users
        _render_all(rendered, config, progress)
        try:
            rendered.rename(root)
        except OSError:
            if not _is_complete(root, config):  # else another process was first, with the same files
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _render_all(root: Path, config: ShapesDataset, progress: Callable[[int, int], None] | None) -> None:
    for name in CLASS_SETS[config.classes]:
        (root / name).mkdir(parents=True)

    def render(path: str, name: str, rng: np.random.Generator) -> None:
        write_video(root / path, render_video(name, rng, config.background))

    pool = ThreadPoolExecutor(os.cpu_count())  # OpenCV releases the interpreter's lock
    try:
        futures = [pool.submit(render, *video) for video in _videos(config)]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            if progress is not None:
                progress(done, len(futures))
    finally:
        pool.shutdown(cancel_futures=True)
    (root / MANIFEST).write_text(json.dumps(_manifest(config), indent=2) + "\n")


def write_video(path: Path, frames: np.ndarray) -> None:
    """Writes frames (T, H, W, 3), uint8 RGB, without loss and checks that all of them arrived.

    The check is here because OpenCV's writer reports neither a full disk nor a missing codec.
    """
    height, width = frames.shape[1:3]
    fourcc = cv2.VideoWriter.fourcc(*CODEC)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, FRAMES_PER_SECOND, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()

    reader = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    written = 0
    while reader.grab():
        written += 1
    reader.release()
    if written != len(frames):
        raise ConfigError(
            f"{path}: {written} of {len(frames)} frames were written; is the disk full, or OpenCV built "
            f"without FFmpeg? (opencv-python-headless from PyPI has it; codec {CODEC})"
        )
