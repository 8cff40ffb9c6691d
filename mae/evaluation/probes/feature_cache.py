"""Features of a list of videos on disk, computed once for a checkpoint, a list and a way of cutting clips."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mae.data.read_ahead import read_ahead
from mae.errors import BadVideo, ConfigError, TrainingStopped, check_choice, library_reason
from mae.files import replacing
from mae.options import FEATURE_DTYPES

_DONE, _FAILED = 1, 2  # 0: not tried yet


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
        check_choice("dtype of features", dtype, FEATURE_DTYPES)
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

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one video's features."""
        return self._row[1]

    @property
    def row_bytes(self) -> int:
        """Of one video's features."""
        dtype, shape = self._row
        return int(np.prod(shape)) * dtype.itemsize

    @property
    def done(self) -> np.ndarray:
        """(num_videos,) bool: which have features. Of the others some have failed and may be tried again."""
        return self._status == _DONE

    def put(self, video: int, features: np.ndarray) -> None:
        """Writes the features of a video.

        Raises:
            ConfigError: the disk is full, or another error of the system.
            TrainingStopped: features that are not finite.
        """
        dtype, shape = self._row
        with np.errstate(over="ignore"):  # told below
            row = np.ascontiguousarray(features, dtype)
        if row.shape != shape:
            raise ValueError(f"features {row.shape} for a cache of {shape}")
        if not np.isfinite(row).all():
            advice = "a damaged checkpoint" if dtype == np.float32 else f"more than {dtype} holds, or damaged weights"
            raise TrainingStopped(f"the encoder's output is not finite: {advice}; float32 may help")
        try:
            # Written, not memory-mapped: a full disk is then an error and no signal.
            with open(self._path, "r+b") as file:
                file.seek(self._offset + video * row.nbytes)
                file.write(row.tobytes())
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written ({error.strerror})") from error
        self._status[video] = _DONE
        self._reasons.pop(video, None)

    def fail(self, video: int, reason: str) -> None:
        """Notes a video that cannot be read; features that are there already stay."""
        if self._status[video] != _DONE:
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

    def read(self) -> np.ndarray:
        """The features, memory-mapped and read-only, (num_videos, *shape); rows that are not `done` mean nothing."""
        return np.load(self._path, mmap_mode="r")

    @property
    def _offset(self) -> int:
        """Bytes before the first row."""
        return self._path.stat().st_size - len(self._status) * self.row_bytes

    def _make_file(self, shape: tuple[int, ...]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        header = {"descr": np.lib.format.dtype_to_descr(self._row[0]), "fortran_order": False, "shape": shape}
        with open(self._path, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + shape[0] * self.row_bytes)

    def _read_status(self) -> None:
        try:
            self._status = np.load(self.folder / "status.npy")
            self._reasons = {int(k): v for k, v in json.loads((self.folder / "reasons.json").read_text()).items()}
            complete = self._path.exists()
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(f"{self.folder} is damaged ({library_reason(error)}): remove it") from error
        if not complete:
            raise ConfigError(f"{self.folder} is damaged (no features.npy): remove it")


def fill(
    caches: Sequence[FeatureCache],
    videos: Sequence[int],
    read: Callable[[int], np.ndarray],
    compute: Callable[[np.ndarray], Sequence[np.ndarray]],
    batch_size: int,
    save_every: int = 64,
    check: Callable[[int, int], None] | None = None,
    workers: int = 0,
) -> None:
    """Computes features of some videos, and saves what was computed also where something raises.

    Every batch has `batch_size` clips: the last one is filled up with copies whose features are thrown away, so any
    number of replicas can share it.

    Args:
        caches: of one list of videos, one for each kind of features.
        videos: those to do, whatever the caches hold of them.
        read: gives the clip of a video, (T, H, W, c) uint8, or raises `BadVideo`; called in threads.
        compute: features of (batch_size, T, H, W, c) uint8, one array for each cache; as `replicated(…)`.
        save_every: batches between saves.
        check: called after every batch with the videos done and the videos in all; may raise, as `Interrupted`.
        workers: threads that decode; 0: one per CPU core.
    """
    done = 0
    try:
        for number, (indices, clips) in enumerate(_batches(caches, videos, read, batch_size, workers), start=1):
            for cache, features in zip(caches, compute(clips), strict=True):
                for video, row in zip(indices, features[: len(indices)], strict=True):
                    cache.put(video, row)
            done += len(indices)
            if number % save_every == 0:
                _save(caches)
            if check is not None:
                check(done, len(videos))
    finally:
        _save(caches)


def _save(caches: Sequence[FeatureCache]) -> None:
    for cache in caches:
        cache.save()


def _batches(
    caches: Sequence[FeatureCache],
    videos: Sequence[int],
    read: Callable[[int], np.ndarray],
    batch_size: int,
    workers: int,
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Places, and clips filled up to `batch_size`."""
    indices: list[int] = []
    clips: list[np.ndarray] = []
    for video, clip in read_ahead(videos, read, workers):
        if isinstance(clip, BadVideo):
            for cache in caches:
                cache.fail(video, str(clip))
            continue
        indices.append(video)
        clips.append(clip)
        if len(clips) == batch_size:
            yield indices, np.stack(clips)
            indices, clips = [], []
    if clips:
        yield indices, np.stack([*clips, *[clips[-1]] * (batch_size - len(clips))])
