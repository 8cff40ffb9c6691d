"""The rate of large products: of a pretended engine, and of the one of this process."""

import numpy as np
import pytest

from mae.engines import rate
from mae.engines.engine import Setup
from mae.engines.rate import matmul_rate
from mae.engines.start import start_engine


class Pretended:
    """An engine whose products take `seconds` of their size, on a clock that nothing else moves."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.sizes, self.seconds = 0.0, [], seconds
        monkeypatch.setattr(rate.time, "perf_counter", lambda: self.now)

    def product(self, dtype, size):
        self.sizes.append(size)

        def run(times):
            self.now += times * self.seconds(size)

        return run


def test_a_fast_device_is_asked_for_its_largest_products(monkeypatch):
    engine = Pretended(monkeypatch, lambda size: 2 * size**3 / 4e14 + 20e-6)
    measured = matmul_rate(engine, "bfloat16")
    assert engine.sizes == [512, 1024, 2048, 4096]
    assert measured == pytest.approx(2 * 4096**3 / (2 * 4096**3 / 4e14 + 20e-6))
    assert engine.now < 0.1


@pytest.mark.parametrize("speed", [1e9, 5e10, 1e12])
def test_it_takes_about_a_second_at_most(monkeypatch, speed):
    engine = Pretended(monkeypatch, lambda size: 2 * size**3 / speed)
    assert matmul_rate(engine, "float32") == pytest.approx(speed)
    assert engine.now < 1.5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_of_this_machine(dtype, monkeypatch):
    engine = start_engine(Setup("single"))
    monkeypatch.setattr(rate, "SIZES", (64, 128))
    assert 1e6 < matmul_rate(engine, dtype, budget_s=10) < 1e15
    assert engine.device_memory() is None  # of a CPU


def test_what_is_multiplied_is_no_special_case():
    matrix = rate.square_matrix(300)
    assert matrix.shape == (300, 300)
    assert len(np.unique(matrix)) > 4000
