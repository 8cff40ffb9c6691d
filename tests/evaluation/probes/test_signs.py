import pytest

from mae.evaluation.probes.signs import Sign, signs_of

ORDER = Sign("probe_order", "order", 0.5, clips=100)


def test_what_has_moved():
    # √(0.5 · 0.5 / 100) = 5 points, √(0.64 · 0.36 / 100) = 4.8 points.
    assert ORDER.least(None) == pytest.approx(0.6)
    assert ORDER.least(0.41) == pytest.approx(0.6)
    assert ORDER.least(0.64) == pytest.approx(0.736)
    assert ORDER.least(0.99) > 1  # it was as high as it can be


def test_how_a_sign_is_told():
    assert ORDER.describe(0.41, 0.625) == "order 62.5 % (before 41.0 %, chance 50.0 %)"
    assert ORDER.describe(None, 0.625) == "order 62.5 % (chance 50.0 %)"


@pytest.mark.parametrize(
    ("labels", "clips", "times", "keys"),
    [
        ([0, 1] * 16, 32, 4, ["probe_attentive_top1", "probe_order"]),
        ([0, 1] * 16, 32, 1, ["probe_attentive_top1"]),
        ([0, 1] * 15, 30, 4, []),
        ([4] * 32, 32, 4, ["probe_order"]),
        (range(32), 32, 4, ["probe_order"]),
        (None, 32, 2, ["probe_order"]),
        (None, 32, 1, []),
    ],
)
def test_which_signs_clips_give(labels, clips, times, keys):
    made = signs_of(None if labels is None else list(labels), clips, times)
    assert [sign.key for sign in made] == keys
    assert all(sign.clips == clips and sign.chance == 0.5 for sign in made)
