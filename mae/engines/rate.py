"""How fast the devices multiply large matrices: what the speed of a training step is compared with."""

import time
from collections.abc import Callable

import numpy as np

from mae.engines.engine import Engine

SIZES = (512, 1024, 2048, 4096)  # rows and columns; a CPU is at its best by the third, a GPU by the last
BUDGET_S = 1.0  # for all of them together
_ROUNDS = 3


def matmul_rate(engine: Engine, dtype: str, budget_s: float = BUDGET_S) -> float:
    """Floating-point operations a second of one device, in its best of a few products; takes about a second at most.

    Larger products are tried as long as the time for them is there: they cost eight times as much as the ones before.

    Args:
        dtype: of the matrices, as the model computes.
    """
    began, best = time.perf_counter(), 0.0
    for size in SIZES:
        multiply = engine.product(dtype, size)
        multiply(1)  # compiled, memory found
        once = _seconds(multiply, 1)
        # So many at a time that the call itself no longer counts, on devices that compute while they are called.
        times = max(1, min(16, int(0.01 / once)))
        took = min(_seconds(multiply, times) for _ in range(_ROUNDS)) / times
        best = max(best, 2 * size**3 / took)
        following = 8 * took * (2 + _ROUNDS * max(1, min(16, int(0.01 / (8 * took)))))
        if time.perf_counter() - began + following > budget_s:
            break
    return best


def square_matrix(size: int) -> np.ndarray:
    """(size, size) float32, of values that are no special case to any device, made without much ado."""
    row = np.random.default_rng(0).standard_normal(4099, np.float32)
    return np.resize(row, (size, size))


def _seconds(multiply: Callable[[int], None], times: int) -> float:
    started = time.perf_counter()
    multiply(times)
    return time.perf_counter() - started
