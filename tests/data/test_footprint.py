import pytest

from mae.data import footprint
from mae.data.footprint import Footprint, fitting_footprint
from mae.errors import ConfigError

CLIP = 16 * 224 * 224 * 3  # bytes: 2.4 MB


def test_by_hand():
    """SSv2's published batch: 4 workers, 2048 clips; two batches wait, one is being made and one computed on."""
    made = Footprint(CLIP, 2048, 4, 2)
    assert made.bytes == CLIP * (4 + 4 * 2048) == 19_739_639_808
    assert str(made) == "19.74 GB: 4 clips being decoded and 2 + 2 batches of 2048, 2.41 MB a clip"


def test_clips_that_are_kept_count():
    made = fitting_footprint(CLIP, 64, 4, 2, 1.5, kept=256)  # (4 + 3 · 64 + 256) clips, as two batches make 1.24 GB
    assert (made.prefetch, made.bytes) == (2, CLIP * (4 + 4 * 64 + 256))
    assert "2 + 2 batches of 64 and 256 of the probe, 2.41 MB a clip" in str(made)
    with_features = fitting_footprint(CLIP, 64, 4, 2, 1.5, kept=256, features=300_000_000)  # then one batch waits
    assert (with_features.prefetch, with_features.bytes) == (1, CLIP * (4 + 3 * 64 + 256) + 300_000_000)
    assert str(with_features).endswith("MB a clip, 300.0 MB of features")
    with pytest.raises(ConfigError, match=r"lower batch_size or probe\.clips or data\.workers"):
        fitting_footprint(CLIP, 64, 4, 2, 1, kept=256)


@pytest.mark.parametrize(("budget_gb", "prefetch"), [(20, 2), (15, 1), (1000, 2)])
def test_as_many_batches_wait_as_fit(budget_gb, prefetch):
    assert fitting_footprint(CLIP, 2048, 4, 2, budget_gb).prefetch == prefetch


def test_a_budget_that_holds_not_even_one():
    with pytest.raises(ConfigError, match=r"would take 14\.8 GB of memory, more than data\.ram_budget_gb=10 allows"):
        fitting_footprint(CLIP, 2048, 4, 2, 10)


def test_the_default_is_a_quarter_of_the_machine(monkeypatch):
    assert footprint.machine_memory() > 10**8
    monkeypatch.setattr(footprint, "machine_memory", lambda: 8000)
    assert fitting_footprint(10, 50, 0, 2, None).bytes == 2000
    assert fitting_footprint(10, 51, 0, 2, None).prefetch == 1
    assert fitting_footprint(10, 500, 0, 2, None).prefetch == 1, "nobody said that it must not be more"
