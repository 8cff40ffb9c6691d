"""What a model says of every view of every video, kept on disk so that an interrupted test goes on."""

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mae.errors import ConfigError, TrainingStopped, library_reason
from mae.evaluation.metrics import softmax
from mae.files import replacing

_IDENTITY = "identity.json"


class ViewScores:
    """Outputs (num_videos, num_views, num_outputs) float32, filled in any order and by any process.

    A view that comes twice (padding, another replica, a resumed test) counts once. `save` writes what is new as one
    more file, which is either complete or not there. Memory: 4 bytes × videos × views × outputs.

    Args:
        directory: where to keep them; None: in memory only. With several processes all write here, each under its
            own `writer`, and the one that reads the figures opens it last.
        identity: what the scores depend on, as the hashes of checkpoint and list, and the views.
        outputs: what is kept, and averaged over views, from what the model computes: probabilities of classes, or as
            `mae.evaluation.tasks.task.Task.outputs` has it.

    Raises:
        ConfigError: the directory holds scores of another identity, or is damaged.
    """

    def __init__(
        self,
        directory: Path | None,
        shape: tuple[int, int, int],
        identity: Mapping[str, str | int] | None = None,
        writer: int = 0,
        outputs: Callable[[np.ndarray], np.ndarray] = softmax,
    ) -> None:
        self.directory = directory
        self._outputs_of = outputs
        self._outputs = np.zeros(shape, np.float32)
        self._done = np.zeros(shape[:2], bool)
        self._failed: dict[int, str] = {}
        self._unsaved: list[tuple[int, int]] = []
        self._unsaved_failures: dict[int, str] = {}
        self._writer = writer
        if directory is not None:
            self._check_identity({**(identity or {}), "shape": "×".join(map(str, shape))})
            for path in sorted(directory.glob("scores_*.npz")):
                self._read(path)

    @property
    def failed(self) -> dict[int, str]:
        """Videos that could not be read, with the reasons."""
        return dict(self._failed)

    def missing(self) -> np.ndarray:
        """(k, 2) video and view of what is still to be evaluated, in order; failed videos are not tried again."""
        wanted = ~self._done
        wanted[list(self._failed)] = False
        return np.argwhere(wanted)

    def add(self, videos: np.ndarray, views: np.ndarray, logits: np.ndarray, valid: np.ndarray | None = None) -> None:
        """Notes a batch.

        Args:
            videos, views: (b,) indices.
            logits: (b, num_classes).
            valid: (b,) 0 for padded entries and for clips that could not be read; None: all are valid.

        Raises:
            TrainingStopped: logits that are not finite.
        """
        rows = np.arange(len(videos)) if valid is None else np.flatnonzero(valid)
        if not np.isfinite(np.asarray(logits, np.float32)[rows]).all():
            raise TrainingStopped("the model's output is not finite: a damaged checkpoint, or try precision=float32")
        outputs = self._outputs_of(np.asarray(logits, np.float32))
        for row in rows:
            index = int(videos[row]), int(views[row])
            if not self._done[index]:
                self._outputs[index] = outputs[row]
                self._done[index] = True
                self._unsaved.append(index)

    def fail(self, video: int, reason: str) -> None:
        """Notes a video that cannot be read; views of it that were evaluated no longer count."""
        if video not in self._failed:
            self._failed[video] = self._unsaved_failures[video] = reason

    def save(self) -> None:
        """Writes what came since the last time."""
        if self.directory is None or not (self._unsaved or self._unsaved_failures):
            return
        indices = np.array(self._unsaved, np.int64).reshape(-1, 2)
        written = [int(path.stem[-6:]) for path in self.directory.glob(f"scores_{self._writer:03d}_*.npz")]
        path = self.directory / f"scores_{self._writer:03d}_{max(written, default=-1) + 1:06d}.npz"
        failures = np.frombuffer(json.dumps(self._unsaved_failures).encode(), np.uint8)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            outputs = self._outputs[tuple(indices.T)]
            np.savez(file, places=indices, probabilities=outputs, failures=failures)
        self._unsaved, self._unsaved_failures = [], {}

    def video_means(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean over the views of each video, (num_videos, num_outputs) float32, and (num_videos,) bool: not failed.

        Raises:
            ValueError: views are missing.
        """
        evaluated = self._evaluated()
        mean = self._outputs.mean(axis=1, dtype=np.float64).astype(np.float32)
        return np.where(evaluated[:, None], mean, 0), evaluated

    def by_view(self) -> np.ndarray:
        """Every view for itself: (num_videos · num_views, num_outputs)."""
        return self._outputs.reshape(-1, self._outputs.shape[2])

    def discard(self) -> None:
        """Removes the directory: once the figures are written, the next test starts afresh."""
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _evaluated(self) -> np.ndarray:
        if len(missing := self.missing()):
            raise ValueError(f"{len(missing)} views are missing, the first: view {missing[0][1]} of {missing[0][0]}")
        evaluated = np.ones(len(self._done), bool)
        evaluated[list(self._failed)] = False
        return evaluated

    def _check_identity(self, identity: Mapping[str, str | int]) -> None:
        assert self.directory is not None
        path = self.directory / _IDENTITY
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(dict(identity), indent=2))
            return
        try:
            held = json.loads(path.read_text())
        except ValueError as error:
            raise ConfigError(f"{path} is damaged: remove {self.directory} to start the test afresh") from error
        other = [f"{name} {held.get(name)} → {value}" for name, value in identity.items() if held.get(name) != value]
        if other:
            raise ConfigError(
                f"{self.directory} holds an interrupted test of something else ({'; '.join(other)}): "
                "remove it to start afresh, or give another run_dir"
            )

    def _read(self, path: Path) -> None:
        try:
            # NumPy leaves the file open where it is no archive: it is opened, and closed, here.
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                indices, outputs = archive["places"], archive["probabilities"]  # what the first version kept
                failures = json.loads(bytes(archive["failures"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(
                f"{path} is damaged ({library_reason(error)}): remove it, its views are then evaluated again"
            ) from error
        self._outputs[tuple(indices.T)] = outputs
        self._done[tuple(indices.T)] = True
        self._failed |= {int(video): reason for video, reason in failures.items()}
