"""What a run directory holds, whichever kind of run it is."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mae.checkpoints.run_state import read_meta
from mae.data.videos.decoding import Decoding, check_window
from mae.errors import ConfigError
from mae.evaluation.probes.looked_at import LOOKED_AT, LookedAt
from mae.monitoring.metrics import read_metrics

COMMANDS = "commands.txt"


@dataclass(frozen=True)
class RunFiles:
    """The files of a run; what is not there is empty, since each kind of run leaves others.

    Raises:
        ConfigError: the directory is no run.
    """

    path: Path

    def __post_init__(self) -> None:
        if not (self.path / "config.yaml").is_file():
            raise ConfigError(f"{self.path} is no run directory: there is no config.yaml in it")

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @cached_property
    def kind(self) -> str:
        """What was done: pre-training, fine-tuning, a test or a probe."""
        mode = self.config.get("mode")
        return {"train": "fine-tuning", "eval": "test", "probe": "probe"}.get(str(mode), "pre-training")

    @cached_property
    def configs(self) -> list[dict[str, Any]]:
        """Of every start that was told something else than the one before it, oldest first, keys joined by dots."""
        files = [self.path / "config.yaml"]
        for number in count(2):
            if not (following := self.path / f"config.{number}.yaml").is_file():
                return [_flat(OmegaConf.to_container(OmegaConf.load(file))) for file in files]
            files.append(following)
        raise AssertionError  # `count` does not end

    @property
    def config(self) -> dict[str, Any]:
        """Of the newest start."""
        return self.configs[-1]

    @property
    def decoding(self) -> Decoding:
        """How its videos are shown: in colours, or by the first channels of those that are stored."""
        channels = "stored" if self.config.get("data.channels") == "stored" else "rgb"
        return Decoding(channels=channels, window=check_window(self.config.get("data.window")))

    @property
    def config_changes(self) -> list[list[str]]:
        """What each later start was told otherwise, as `key: before → after`."""
        return [[f"{key}: {a} → {b}" for key, a, b in different(*pair)] for pair in pairwise(self.configs)]

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        path = self.path / "metrics.jsonl"
        return read_metrics(path) if path.is_file() else []

    @cached_property
    def test(self) -> dict[str, Any]:
        """`test.json`."""
        return self._json("test.json")

    @cached_property
    def probe(self) -> dict[str, Any]:
        """`probe.json`."""
        return self._json("probe.json")

    @cached_property
    def predictions(self) -> list[dict[str, str]]:
        """Lines of `predictions.csv`, one for each video of the test."""
        return self._rows("predictions.csv")

    @cached_property
    def bad_videos(self) -> list[dict[str, str]]:
        """Path and reason, from the lists of all workers."""
        return [row for path in sorted(self.path.glob("bad_videos*.csv")) for row in self._rows(path.name)]

    @property
    def reconstructions(self) -> list[tuple[int, Path]]:
        """Step and picture."""
        found = sorted((self.path / "reconstructions").glob("step_*.png"))
        return [(int(path.stem.removeprefix("step_")), path) for path in found]

    @cached_property
    def commands(self) -> list[str]:
        """When, and what was typed, a line each."""
        path = self.path / COMMANDS
        return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []

    @cached_property
    def versions(self) -> dict[str, str]:
        """Of the packages that the newest results were made with."""
        for content in (self.test, self.probe):
            if content:
                return dict(content["versions"])
        newest = max((self.path / "checkpoints").glob("step_*.npz"), default=None)
        if newest is None:
            return {}
        return dict(read_meta(newest).get("versions", {}))

    @cached_property
    def looked_at(self) -> LookedAt | None:
        """Features of some clips, where there are any."""
        path = self.path / LOOKED_AT
        return LookedAt.read(path) if path.is_file() else None

    def _json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    def _rows(self, name: str) -> list[dict[str, str]]:
        path = self.path / name
        if not path.is_file():
            return []
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return list(csv.DictReader(file))


def different(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Key and both values of the settings that differ."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return [(key, before.get(key), after.get(key)) for key in keys]


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in tree.items():
        values |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return values
