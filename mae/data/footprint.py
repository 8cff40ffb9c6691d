"""How much host memory decoded clips take, and how many batches may wait without taking more than they may."""

import os
from dataclasses import dataclass

from mae.errors import ConfigError

GIGABYTE = 10**9
DEFAULT_SHARE = 1 / 4  # of the machine's memory


@dataclass(frozen=True)
class Footprint:
    """The clips a pipeline holds on to, as bytes of their pixels.

    These are the clips being decoded, the batch being put together or handed over, `prefetch` batches that wait, and
    the one that is computed on; beside the pipeline those that the run keeps to look at.
    """

    clip_bytes: int
    batch_size: int  # clips of a step on this machine
    clips_in_flight: int  # being decoded: workers × clips per video
    prefetch: int  # batches
    kept: int = 0  # clips that stay all the time
    features: int = 0  # bytes of what a look at them holds of their tokens

    @property
    def bytes(self) -> int:
        clips = self.clips_in_flight + (self.prefetch + 2) * self.batch_size + self.kept
        return self.clip_bytes * clips + self.features

    def __str__(self) -> str:
        kept = f" and {self.kept} of the probe" if self.kept else ""
        features = f", {self.features / 1e6:.1f} MB of features" if self.features else ""
        return (
            f"{self.bytes / GIGABYTE:.2f} GB: {self.clips_in_flight} clips being decoded and "
            f"{self.prefetch} + 2 batches of {self.batch_size}{kept}, {self.clip_bytes / 1e6:.2f} MB a clip{features}"
        )


def fitting_footprint(
    clip_bytes: int,
    batch_size: int,
    clips_in_flight: int,
    prefetch: int,
    budget_gb: float | None,
    kept: int = 0,
    features: int = 0,
) -> Footprint:
    """The footprint with as many of the `prefetch` batches as the budget allows, at least one.

    Args:
        budget_gb: in 10⁹ bytes; None: a quarter of the machine's memory, which a single waiting batch may exceed.

    Raises:
        ConfigError: a given budget does not let even one batch wait.
    """
    footprints = [
        Footprint(clip_bytes, batch_size, clips_in_flight, number, kept, features) for number in range(prefetch, 0, -1)
    ]
    budget = DEFAULT_SHARE * machine_memory() if budget_gb is None else budget_gb * GIGABYTE
    fitting = [footprint for footprint in footprints if footprint.bytes <= budget]
    if not fitting and budget_gb is not None:
        raise ConfigError(
            f"decoded clips would take {footprints[-1].bytes / GIGABYTE:.3g} GB of memory, more than "
            f"data.ram_budget_gb={budget_gb:g} allows: lower batch_size{' or probe.clips' if kept else ''} or "
            "data.workers, or raise the budget"
        )
    return fitting[0] if fitting else footprints[-1]


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
