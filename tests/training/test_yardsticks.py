import resource

import pytest

from mae.training.yardsticks import Yardsticks, memory, resident_bytes

RECORD = {"step": 5, "loss": 0.5, "learning_rate": 2e-3, "clips_per_second": 40.0, "decode_ms": 30.0}
KNOWN = Yardsticks(
    trivial_loss=1.25, flops_per_clip=2e9, device_flops_per_second=4e11, decoders=2, lowest_rate_scale=0.5
)


def test_what_follows_from_a_record():
    assert KNOWN.derived(RECORD) == pytest.approx({
        "trivial_loss": 1.25,
        "loss_ratio": 0.4,
        "lowest_learning_rate": 1e-3,
        "model_flops_per_second": 8e10,
        "model_flops_share": 0.2,
        "decoders_busy": 0.6,  # 40 clips of 30 ms, in two threads
    })  # fmt: skip


def test_of_what_is_not_known_nothing_follows():
    assert KNOWN.derived({"step": 0, "psnr": 20.0}) == {}
    compiling = {**RECORD, "clips_per_second": None, "loss": None}
    assert KNOWN.derived(compiling) == {"lowest_learning_rate": 1e-3}
    assert Yardsticks(None, None, None, 1).derived(RECORD) == {"decoders_busy": 1.0}  # 1.2 of them, read beforehand


def test_memory():
    assert memory(None).keys() == {"host_memory_gb"}
    assert memory(3_500_000_000)["device_memory_gb"] == 3.5
    # The most that this process ever held, as the kernel counts it, is no less than what it holds.
    assert 1e6 < resident_bytes() <= 1.05 * 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
