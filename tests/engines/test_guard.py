import numpy as np
import pytest
from keras import ops

from mae.engines import guard as module
from mae.engines.guard import UpdateGuard


def play(guard, finite):
    """What `judge` says for each update of a sequence, and the scale before it."""
    told = []
    for value in finite:
        made, scalars = guard.judge(ops.convert_to_tensor(value))
        told.append((bool(made), float(scalars["halted"]), float(guard.loss_scale.numpy())))
        (guard.note_made if made else guard.note_skipped)()
    return told


def test_the_scale_is_halved_at_once_and_doubled_after_many_good_updates(monkeypatch):
    monkeypatch.setattr(module, "GROWTH_STEPS", 3)
    guard = UpdateGuard(max_skipped=5, loss_scale=8.0)
    scales = [scale for *_, scale in play(guard, [True, True, False, True, True, True, True, False, False, False])]
    assert scales == [8, 8, 8, 4, 4, 4, 8, 8, 4, 2]
    assert play(guard, [False, False, True])[-1][2] == 1  # never below 1
    assert int(guard.skipped_steps.numpy()) == 6


def test_more_than_the_allowed_in_a_row_end_all_updates():
    guard = UpdateGuard(max_skipped=2)
    told = play(guard, [False, False, True, False, False, False, True])
    assert [made for made, *_ in told] == [False, False, True, False, False, False, False]
    assert [halted for _, halted, _ in told] == [0, 0, 0, 0, 0, 1, 1]


def test_only_float16_scales():
    assert UpdateGuard().scaled(3.0) == 3.0
    guard = UpdateGuard(loss_scale=4.0)
    assert float(guard.scaled(3.0)) == 12
    np.testing.assert_array_equal(guard.unscaled([ops.convert_to_tensor([8.0, 2.0])])[0], [2, 0.5])


@pytest.mark.parametrize("scale", [None, 4.0])
def test_the_state_is_the_same_in_every_precision(scale):
    names = ["skipped_steps", "skipped_in_row", "good_in_row", "loss_scale"]
    assert [v.path for v in UpdateGuard(loss_scale=scale).variables] == [f"guard/{name}" for name in names]
