"""A run's directory: one process at a time, and a config that may change only where that is safe."""

import fcntl
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from omegaconf import OmegaConf

from mae.cli.commands import as_typed
from mae.errors import ConfigError
from mae.files import abandoned, replacing
from mae.presets import COMPUTED
from mae.report.run_files import COMMANDS

# What a step computes depends on these: with another value the saved state belongs to another run.
FROZEN = (
    "model.",
    "dataset.name",
    "dataset.frame_stride",
    "dataset.seed",
    "data.sampler",
    "data.short_clip",
    "data.resize",
    "data.clips_per_video",
    "data.motion_candidates",
    "augment.",
    "optimizer.name",
    "optimizer.beta",
    "optimizer.momentum",
    "ema_decay",
    "target",
    "loss_weight",
    "masking",
    "mask_ratio",
    "mask_motion",
    "decoder_mask_ratio",
    "mixing.",
    "head_dropout_rate",
    "pooling",
    "num_classes",
    "freeze",
    "task",
    "class_balance",
    "regression_loss",
    "huber_delta",
    "batch_size",
    "overfit_clips",
    "seed",
)

# How it is computed, not what.
FREE = tuple(f"model.{name}" for name in COMPUTED)

LOCK = ".lock"
_USES = ("mode: eval", "mode: probe")  # lines of the config of what trains nothing


class RunDirectory:
    """Paths of a run and the lock that keeps a second process out. Use as a context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock: int | None = None

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def reconstructions(self) -> Path:
        return self.path / "reconstructions"

    def bad_videos_of(self, worker: int) -> Path:
        """The list of unreadable videos; each worker reads its own part of the batches and has its own list."""
        return self.path / ("bad_videos.csv" if worker == 0 else f"bad_videos.worker_{worker}.csv")

    @property
    def holds_run(self) -> bool:
        return self.config.exists() or self.checkpoints.is_dir()

    def check(self, resume: str) -> None:
        """Raises `ConfigError` where a run must not start: another's directory, or a run with `resume=never`."""
        try:
            if self.path.exists() and not self.path.is_dir():
                raise ConfigError(f"run_dir={self.path} is a file; give a directory")
            others = (
                set(self.path.iterdir()) - {self.path / LOCK, self.path / COMMANDS} if self.path.is_dir() else set()
            )
            others -= set(abandoned(self.path))
        except OSError as error:
            raise ConfigError(f"run_dir={self.path} cannot be used: {error.strerror}") from error
        if others and not self.holds_run:
            raise ConfigError(f"run_dir={self.path} is neither empty nor a run: give another run_dir")
        if resume == "never" and self.holds_run:
            raise ConfigError(f"run_dir={self.path} already holds a run: give another run_dir or resume=auto")

    def __enter__(self) -> "RunDirectory":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for half in (*abandoned(self.path), *abandoned(self.reconstructions)):
                half.unlink()
        except BlockingIOError as error:
            raise ConfigError(f"another process is using run_dir={self.path}") from error
        except OSError as error:
            raise ConfigError(f"run_dir={self.path} cannot be used: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)  # closing releases the lock; the empty file stays
            self._lock = None

    def note_config(self, config: Mapping[str, Any]) -> None:
        """Notes what a start of the run was told, unless that is what the start before it was told.

        The first start's is `config.yaml` and stays; what differs later goes into `config.2.yaml` and so on.
        """
        number, latest = 1, self.config
        while (following := self.path / f"config.{number + 1}.yaml").exists():
            number, latest = number + 1, following
        if not latest.exists():
            _write_config(latest, config)
        elif latest.read_text() != _as_yaml(config):
            _write_config(following, config)

    def note_use(self, config: Mapping[str, Any], command: Sequence[str]) -> None:
        """As `note_config`, for what only looks at trained weights; in the directory of a training nothing is noted.

        `command` is noted in either case.
        """
        if not self.holds_run or self._is_without_training:
            self.note_config(config)
        self.note_command(command)

    def note_command(self, command: Sequence[str]) -> None:
        """Adds a line with what Python was told to run, as a shell takes it, and when."""
        with open(self.path / COMMANDS, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {as_typed(command)}\n")

    @property
    def _is_without_training(self) -> bool:
        """Whether what is here was written by looks at weights of elsewhere."""
        if self.checkpoints.is_dir() or not self.config.exists():
            return False
        return any(line in _USES for line in self.config.read_text().splitlines())


def _write_config(path: Path, config: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(_as_yaml(config))


def _as_yaml(config: Mapping[str, Any]) -> str:
    return OmegaConf.to_yaml(OmegaConf.create(dict(config)))


def changes(before: Mapping[str, Any], after: Mapping[str, Any], where: Path) -> list[str]:
    """One line for each setting that differs between two configs.

    Raises:
        ConfigError: one of them is frozen; `where` is the checkpoint with the settings `before`.
    """
    old, new = _flat(before), _flat(after)
    different = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    lines = [f"{key}: {old.get(key)} → {new.get(key)}" for key in different]
    # A key that the older config does not have is a setting that did not exist.
    frozen = [
        line
        for key, line in zip(different, lines, strict=True)
        if key.startswith(FROZEN) and key not in FREE and key in old
    ]
    if frozen:
        raise ConfigError(f"{where} belongs to a run with other settings ({'; '.join(frozen)}): give another run_dir")
    return lines


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            values |= _flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values
