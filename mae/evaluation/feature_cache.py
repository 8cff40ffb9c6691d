"""Features of a list of videos on disk, computed once for a checkpoint, a list and a way of cutting clips."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from mae.checkpoints.containers.atomic import replacing
from mae.errors import BadVideo, ConfigError, check_choice
from mae.evaluation.read_ahead import read_ahead

DTYPES = ("float32", "float16")
_MISSING, _DONE, _FAILED = 0, 1, 2


class FeatureCache:
    """`features.npy`, (num_videos, *shape), filled row by row; a killed process goes on where it last saved.

    It lies in a folder of its own below `directory`, named for its identity, beside `status.npy` and
    `identity.json`: features of another checkpoint, list or clip are other files. Any NumPy opens `features.npy`.

    Args:
        identity: what the features depend on; as the hashes of checkpoint and list, clip and pooling.
        shape: of one video's features, (d,) or (n, d).
        dtype: float16 halves the size, with a relative error of 5e-4.
    """

    def __init__(
        self,
        directory: str | Path,
        identity: Mapping[str, str | int],
        num_videos: int,
        shape: tuple[int, ...],
        dtype: str = "float32",
    ) -> None:
        check_choice("dtype of features", dtype, DTYPES)
        told = {**identity, "videos": num_videos, "shape": list(shape), "dtype": dtype}
        text = json.dumps(told, indent=2, sort_keys=True)
        self.folder = Path(directory) / hashlib.sha256(text.encode()).hexdigest()[:16]
        self._row = (np.dtype(dtype), shape)
        self._path = self.folder / "features.npy"
        self._status = np.zeros(num_videos, np.uint8)
        self._reasons: dict[int, str] = {}
        if (self.folder / "status.npy").exists():
            self._read_status()
        else:
            self._make_file((num_videos, *shape))
            for name, content in (("identity.json", text), ("reasons.json", "{}")):
                with replacing(self.folder / name) as temporary:
                    temporary.write_text(content)
            self.save()

    @property
    def failed(self) -> dict[int, str]:
        """Videos without features, with the reasons."""
        return dict(self._reasons)

    def missing(self) -> np.ndarray:
        """Videos still to be done, ascending; failed ones are not tried again."""
        return np.flatnonzero(self._status == _MISSING)

    def put(self, video: int, features: np.ndarray) -> None:
        """Writes the features of a video.

        Raises:
            ConfigError: the disk is full, or another error of the system.
        """
        dtype, shape = self._row
        row = np.ascontiguousarray(features, dtype)
        if row.shape != shape:
            raise ValueError(f"features {row.shape} for a cache of {shape}")
        try:
            # Written, not memory-mapped: a full disk is then an error and no signal.
            with open(self._path, "r+b") as file:
                file.seek(self._offset + video * row.nbytes)
                file.write(row.tobytes())
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written ({error.strerror})") from error
        self._status[video] = _DONE

    def fail(self, video: int, reason: str) -> None:
        """Notes a video that cannot be read."""
        self._reasons[video] = reason
        self._status[video] = _FAILED

    def save(self) -> None:
        """Makes what was put survive; only then is it noted as done."""
        with open(self._path, "r+b") as file:
            os.fsync(file.fileno())
        with replacing(self.folder / "reasons.json") as temporary:
            temporary.write_text(json.dumps(self._reasons))
        with replacing(self.folder / "status.npy") as temporary, open(temporary, "wb") as file:
            np.save(file, self._status)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """All features, memory-mapped and read-only, (num_videos, *shape), and (num_videos,) bool: which are there."""
        return np.load(self._path, mmap_mode="r"), self._status == _DONE

    @property
    def _offset(self) -> int:
        """Bytes before the first row."""
        dtype, shape = self._row
        rows = len(self._status) * int(np.prod(shape)) * dtype.itemsize
        return self._path.stat().st_size - rows

    def _make_file(self, shape: tuple[int, ...]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        header = {"descr": np.lib.format.dtype_to_descr(self._row[0]), "fortran_order": False, "shape": shape}
        with open(self._path, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + int(np.prod(shape)) * self._row[0].itemsize)

    def _read_status(self) -> None:
        try:
            self._status = np.load(self.folder / "status.npy")
            self._reasons = {int(k): v for k, v in json.loads((self.folder / "reasons.json").read_text()).items()}
            complete = self._path.exists()
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(f"{self.folder} is damaged ({error}): remove it") from error
        if not complete:
            raise ConfigError(f"{self.folder} is damaged (no features.npy): remove it")


def fill(
    cache: FeatureCache,
    read: Callable[[int], np.ndarray],
    compute: Callable[[np.ndarray], np.ndarray],
    batch_size: int,
    save_every: int = 64,
) -> None:
    """Computes what is missing in a cache, and saves what was computed also where something raises.

    Args:
        read: gives the clip of a video, (T, S, S, c) uint8, or raises `BadVideo`; called in threads.
        compute: features of (b, T, S, S, c) uint8; as `compiled(model, …)`.
        save_every: batches between saves.
    """
    try:
        for number, (videos, clips) in enumerate(_batches(cache, read, batch_size), start=1):
            for video, features in zip(videos, np.asarray(compute(np.stack(clips))), strict=True):
                cache.put(video, features)
            if number % save_every == 0:
                cache.save()
    finally:
        cache.save()


def _batches(
    cache: FeatureCache, read: Callable[[int], np.ndarray], batch_size: int
) -> Iterator[tuple[list[int], list[np.ndarray]]]:
    videos: list[int] = []
    clips: list[np.ndarray] = []
    for video, clip in read_ahead(cache.missing().tolist(), read):
        if isinstance(clip, BadVideo):
            cache.fail(video, str(clip))
            continue
        videos.append(video)
        clips.append(clip)
        if len(clips) == batch_size:
            yield videos, clips
            videos, clips = [], []
    if clips:
        yield videos, clips
