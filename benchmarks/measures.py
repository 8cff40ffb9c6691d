"""What a training step is measured by, whoever makes it: memory, times, and the work of its matrix products."""

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


def flops_per_clip(a: Any, visible: int, predicted: int) -> float:
    """Floating-point operations of one clip's matrix products, forward and backward (twice the forward's).

    What is recomputed does not count: a trick that recomputes must show as time, not as work.
    """

    def blocks(tokens: int, width: int, depth: int) -> float:
        dense = (4 + 2 * a.mlp_ratio) * width * width
        return depth * tokens * 2 * (dense + 2 * tokens * width)

    forward = blocks(visible, a.embed_dim, a.depth)
    forward += blocks(visible + predicted, a.decoder_embed_dim, a.decoder_depth)
    forward += 2 * visible * a.embed_dim * (a.patch_dim + a.decoder_embed_dim)
    forward += 2 * predicted * a.decoder_embed_dim * a.patch_dim
    return 3 * forward
