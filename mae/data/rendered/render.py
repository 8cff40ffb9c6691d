"""Data sets that are rendered on first use, into files of videos, one directory per class."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mae.cli.telling import tell
from mae.data.config import RenderedDataset
from mae.data.rendered.kinds import Rendering, rendering
from mae.errors import ConfigError, check_at_least
from mae.files import cache_directory
from mae.seeds import generator

FRAMES_PER_SECOND = 12.0
CODEC = "HFYU"  # lossless in RGB with every OpenCV wheel; MJPG and mp4v halve the colour resolution
MANIFEST = "shapes.json"  # at the root: what these files were rendered from
HELD_OUT_SEED = 1_000_000  # added to the seed of the videos that are held out

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Set:
    """The files of one rendering."""

    what: Rendering
    videos_per_class: int
    seed: int
    named_root: str | None

    @property
    def root(self) -> Path:
        if self.named_root is not None:
            return Path(self.named_root).expanduser().resolve()
        words = [word for key, word in self.what.variant.items() if word != self.what.usual.get(key)]
        parts = (self.what.kind, f"v{self.what.version}", *words, self.videos_per_class, self.seed)
        return cache_directory().resolve() / "-".join(map(str, parts))

    @property
    def manifest(self) -> dict[str, object]:
        return {
            "version": self.what.version,
            "videos_per_class": self.videos_per_class,
            "seed": self.seed,
            **self.what.variant,
            "classes": list(self.what.classes),
        }

    @property
    def videos(self) -> list[tuple[str, str, np.random.Generator]]:
        """Relative path, class and generator of every video."""
        return [
            (f"{name}/{name}_{number:04d}{self.what.ending}", name, generator(self.seed, self.what.kind, label, number))
            for label, name in enumerate(self.what.all_classes)
            if name in self.what.classes
            for number in range(self.videos_per_class)
        ]


def rendered_root(config: RenderedDataset, held_out: bool = False) -> Path:
    """Where the videos of this configuration lie, rendered or not."""
    return _files(config, held_out).root


def ensure_rendered(config: RenderedDataset, progress: Progress | None = None, held_out: bool = False) -> Path:
    """The directory with the videos as `<class>/<class>_<0000>.avi` or `.npy`; renders them where they are missing.

    `progress(done, total)` is called in this thread after every rendered video. The files are made in a
    temporary directory beside the root and appear under it in one rename, so an interrupted rendering leaves
    nothing half-made and two processes may start at once. Nothing that exists is ever changed: a directory
    with other content, or with some of the videos missing, raises `ConfigError`.

    Args:
        held_out: whether the videos are those for validation and test: others than one trains on, of which there are
            `val_videos_per_class`.
    """
    check_at_least(1, config, "val_videos_per_class" if held_out else "videos_per_class", prefix="dataset.")
    check_at_least(0, config, "seed", prefix="dataset.")
    files = _files(config, held_out)
    try:
        if not _is_complete(files):
            _render_beside(files, progress)
    except OSError as error:
        raise ConfigError(f"dataset.root={files.root}: {error.strerror or error}; choose another place") from error
    return files.root


def print_rendering(done: int, total: int) -> None:
    """Prints the beginning and the end of rendering: the `progress` of commands."""
    if done in (1, total):
        tell(f"rendered {done} of {total} videos")


def _files(config: RenderedDataset, held_out: bool) -> _Set:
    what = rendering(config, held_out)
    if not held_out:
        return _Set(what, config.videos_per_class, config.seed, config.root)
    root = None if config.root is None else f"{config.root}-val"
    return _Set(what, config.val_videos_per_class, config.seed + HELD_OUT_SEED, root)


def _is_complete(files: _Set) -> bool:
    """Whether the videos are there; False where nothing is; `ConfigError` where something else is."""
    root = files.root
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"dataset.root={root} holds something else; name a new or an empty directory")
    found = {**files.what.usual, **found}  # what was rendered before there was another kind does not say it
    for key, expected in files.manifest.items():
        if found.get(key) != expected:
            raise ConfigError(
                f"dataset.root={root} was rendered with {key}={found.get(key)}, not {expected}; "
                "choose another dataset.root or leave it out"
            )
    paths = [root / path for path, _, _ in files.videos]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ConfigError(
            f"dataset.root={root} lacks {len(missing)} of {len(paths)} videos, first {missing[0].name}; "
            "delete that directory to have it rendered again"
        )
    return True


def _render_beside(files: _Set, progress: Progress | None) -> None:
    """Renders into a temporary directory next to the root and renames it."""
    root = files.root
    root.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        rendered = staging / root.name  # one level down: mkdtemp's own directory is closed to other users
        _render_all(files, rendered, progress)
        try:
            rendered.rename(root)
        except OSError:
            if not _is_complete(files):  # else another process was first, with the same files
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _render_all(files: _Set, root: Path, progress: Progress | None) -> None:
    for name in files.what.classes:
        (root / name).mkdir(parents=True)

    def render(path: str, name: str, rng: np.random.Generator) -> None:
        frames = files.what.render_video(name, rng)
        if files.what.ending == ".npy":
            np.save(root / path, frames)
        else:
            write_video(root / path, frames)

    pool = ThreadPoolExecutor(os.cpu_count())  # OpenCV releases the interpreter's lock
    try:
        futures = [pool.submit(render, *video) for video in files.videos]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            if progress is not None:
                progress(done, len(futures))
    finally:
        pool.shutdown(cancel_futures=True)
    (root / MANIFEST).write_text(json.dumps(files.manifest, indent=2) + "\n")


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
