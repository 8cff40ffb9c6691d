"""What a training step is measured by, whoever makes it: memory and times."""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def matmul_side(options: Any) -> int:
    """Rows and columns of the matrices that give the matmul rate: large enough to keep a GPU busy."""
    return 8192 if options.precision == "bfloat16" and Path("/dev/nvidiactl").exists() else 2048


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak_resident() -> int:
    """The most bytes this process ever had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def best_of(rounds: int, work: Callable[[], Any]) -> float:
    """Seconds of the fastest of some calls, after one that does not count."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
