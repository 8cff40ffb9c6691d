"""Numbers that a head learns less their mean and in units of their deviation, and the head in their own unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints.schema import Rule, check, listing, table

KERNEL, BIAS = "head/kernel", "head/bias"
_MOST = 100_000  # numbers of a video
_NUMBER = Rule(
    "a number", lambda value: type(value) in (int, float) and bool(np.isfinite(value)) and abs(value) < 1e300
)


@dataclass(frozen=True)
class TargetScale:
    """Mean and standard deviation of each number, over the videos that are trained on."""

    mean: tuple[float, ...]
    std: tuple[float, ...]  # above 0

    @classmethod
    def of(cls, targets: np.ndarray) -> "TargetScale":
        """Those of the numbers of n videos, (n, k); each of them differs between two videos."""
        return cls(tuple(targets.mean(axis=0).tolist()), tuple(targets.std(axis=0).tolist()))

    def as_dict(self) -> dict[str, Any]:
        """For the meta data of a checkpoint."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def of_run(cls, told: Any, outputs: int, source: str | Path) -> "TargetScale":
        """The inverse of `as_dict`.

        Raises:
            ConfigError: something else, or of another number of outputs.
        """
        check(source, "target_scale", told, table())
        mean, std = (
            check(source, f"target_scale.{name}", told.get(name), listing(_NUMBER, outputs, outputs))
            for name in ("mean", "std")
        )
        return cls(tuple(mean), tuple(std))

    def in_unit(self, outputs: np.ndarray) -> np.ndarray:
        """What a head says, (…, k), in the unit of the numbers; float32."""
        return (outputs * np.array(self.std) + np.array(self.mean)).astype(np.float32)

    def head_in_unit(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The two weights of a head that says such numbers as one that says them in their unit."""
        std, mean = np.array(self.std), np.array(self.mean)
        return _float32({KERNEL: arrays[KERNEL] * std, BIAS: arrays[BIAS] * std + mean})

    def head_in_deviations(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The inverse of `head_in_unit`."""
        std, mean = np.array(self.std), np.array(self.mean)
        return _float32({KERNEL: arrays[KERNEL] / std, BIAS: (arrays[BIAS] - mean) / std})


def _float32(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.astype(np.float32) for name, array in arrays.items()}
