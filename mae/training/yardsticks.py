"""What the figures of a record are compared with, and the figures that follow."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_GIGABYTE = 10**9


@dataclass(frozen=True)
class Yardsticks:
    """Known from the start of a run on; None where nothing is known."""

    trivial_loss: float | None  # of who learnt nothing
    flops_per_clip: float | None  # of the model's matrix products, forward and backward
    device_flops_per_second: float | None  # of large products, of all devices together
    decoders: int  # threads that read clips, of all workers together
    lowest_rate_scale: float = 1.0  # of the learning rate, among the parameter groups

    def derived(self, record: Mapping[str, Any]) -> dict[str, float]:
        """What follows from a record; of what it lacks, nothing.

        `loss_ratio`: 1 says that nothing was learnt. `decoders_busy`: the share of their time in which the threads that
        read clips read, where it is 1 they are what a run waits for.
        """
        loss, rate, speed = (record.get(name) for name in ("loss", "learning_rate", "clips_per_second"))
        made: dict[str, float] = {}
        if self.trivial_loss and loss is not None:
            made |= {"trivial_loss": self.trivial_loss, "loss_ratio": loss / self.trivial_loss}
        if rate is not None and self.lowest_rate_scale != 1:
            made["lowest_learning_rate"] = rate * self.lowest_rate_scale
        if speed is None:
            return made
        if self.flops_per_clip is not None:
            made["model_flops_per_second"] = speed * self.flops_per_clip
            if self.device_flops_per_second:
                made["model_flops_share"] = made["model_flops_per_second"] / self.device_flops_per_second
        if record.get("decode_ms") is not None:
            # Clips that were read before the record's first step let it seem more than all of the time.
            made["decoders_busy"] = min(speed * record["decode_ms"] / 1000 / self.decoders, 1.0)
        return made


def memory(device_bytes: int | None) -> dict[str, float]:
    """Memory in 10⁹ bytes: what this process holds now, and the most its devices held at a time."""
    made = {"host_memory_gb": resident_bytes() / _GIGABYTE}
    if device_bytes is not None:
        made["device_memory_gb"] = device_bytes / _GIGABYTE
    return made


def resident_bytes() -> int:
    """Of memory that this process holds, shared libraries included."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
