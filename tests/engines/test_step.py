"""One step, however its batch is spread over devices and parts."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from replicas import assert_same_training, clip_losses, engine_of
from small_steps import ADAMW, LOSSES, SHORT, batch, trained
from tiny import tiny_pretrainer

from mae.checkpoints.run_state import variables_to_arrays
from mae.engines.engine import UpdateSettings
from mae.pretraining.step import pretraining_losses

# Each is compiled once for all tests that train so.
AVERAGING = {"ema_decay": 0.9, "max_skipped": 1}
IN_FLOAT16 = {"dtype": "mixed_float16", "loss_scale": 2.0**24, "max_skipped": 20}


@pytest.fixture(scope="module")
def one_replica():
    return trained()


def test_parts_change_nothing(one_replica):
    """Nor do replicas, see below: with parts, an average of the weights and a scaled loss."""
    assert_same_training(trained(accumulate=4), one_replica)


def test_clipping_was_on(one_replica):
    assert min(s["grad_norm"] for s in one_replica[1]) > 0.05


def test_a_replayed_step_is_identical(one_replica):
    state, scalars = trained()
    assert scalars == one_replica[1]
    for name, value in one_replica[0].items():
        np.testing.assert_array_equal(state[name], value)


def test_compiled_with_xla(one_replica):
    state, scalars = trained(jit=True)
    assert scalars[0]["loss"] == pytest.approx(one_replica[1][0]["loss"], rel=1e-4)
    name = "pretrainer/encoder/block_0/mlp/fc1/kernel"
    np.testing.assert_allclose(state[name], one_replica[0][name], atol=1e-4)


def test_an_unreadable_clip_counts_for_nothing():
    with_bad, scalars = trained(batches=[batch(0, bad=[2])])
    changed = batch(0, bad=[2])
    changed["videos"][2] = 255 - changed["videos"][2]
    other, other_scalars = trained(batches=[changed])
    assert (scalars[0]["bad_clips"], scalars[0]["short_clips"]) == (1, 3)
    assert scalars[0]["loss"] == other_scalars[0]["loss"]
    for name, value in with_bad.items():
        np.testing.assert_array_equal(other[name], value)
    # The mean is over the readable seven, not over eight.
    model = tiny_pretrainer(drop_path_rate=0.3, **SHORT)
    losses = clip_losses(model, pretraining_losses(model, *LOSSES), batch(0))
    assert scalars[0]["loss"] == pytest.approx(np.delete(losses, 2).mean(), rel=1e-5)


def poisoned(seed):
    """A batch whose loss is not a number."""
    values = batch(seed)
    values["valid"][0] = np.nan
    return values


def without_guard(state):
    return {name: value for name, value in state.items() if not name.startswith("guard/")}


def assert_same(made, expected):
    assert made.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(made[name], value, err_msg=name)


def test_after_a_gradient_that_is_not_finite_no_update_is_made():
    before, _ = trained(batches=[batch(0)])
    after, scalars = trained(batches=[batch(0), poisoned(1), batch(2)])
    assert np.isfinite(scalars[0]["grad_norm"])
    assert not np.isfinite(scalars[1]["grad_norm"])
    assert [s["halted"] for s in scalars] == [0, 1, 1]
    assert_same(without_guard(after), without_guard(before))


def test_steps_that_may_be_skipped_leave_no_trace_but_a_count():
    plain, expected = trained(batches=[batch(0), batch(2)], **AVERAGING)
    skipping, scalars = trained(batches=[batch(0), poisoned(1), batch(2)], **AVERAGING)
    assert_same(without_guard(skipping), without_guard(plain))
    assert [s["skipped_in_row"] for s in scalars] == [0, 1, 0]
    assert [s["skipped_steps"] for s in scalars] == [0, 1, 1]
    # The schedule counts updates, not steps.
    assert [s["learning_rate"] for s in (scalars[0], scalars[2])] == [s["learning_rate"] for s in expected]
    assert not any(s["halted"] for s in scalars)
    assert int(skipping["guard/skipped_steps"]) == 1


def test_a_loss_that_is_not_finite_is_skipped_even_if_its_gradient_is():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    optimizer = engine_of(1).optimizer(model, UpdateSettings(replace(ADAMW, layer_decay=None), 0.1, 0.05))
    before = variables_to_arrays(model.variables)
    ones = [keras.ops.ones(v.shape) for v in model.trainable_variables]
    scalars = optimizer.apply(ones, model.trainable_variables, keras.ops.convert_to_tensor(np.inf))
    assert float(scalars["halted"]) == 1
    assert_same(variables_to_arrays(model.variables), before)


def test_two_replicas_in_two_parts_with_a_scaled_loss_and_an_average_change_nothing_in_float32(one_replica):
    state, scalars = trained(2, 2, loss_scale=2.0**15, **AVERAGING)
    assert [s.pop("loss_scale") for s in scalars] == [2.0**15] * 3
    for expected, expected_scalars in (one_replica, trained(**AVERAGING)):
        assert_same_training((state, scalars), (without_guard(expected), expected_scalars))


def test_float16_follows_float32(one_replica):
    state, scalars = trained(**IN_FLOAT16, begin={"guard/loss_scale": np.float32(2**10)})
    assert [s["skipped_steps"] for s in scalars] == [0, 0, 0]
    for made, expected in zip(scalars, one_replica[1], strict=True):
        assert made["loss"] == pytest.approx(expected["loss"], rel=5e-3)
        assert made["grad_norm"] == pytest.approx(expected["grad_norm"], rel=5e-2)
    assert all(value.dtype != np.float16 for value in state.values())


def test_float16_finds_its_scale():
    """From a scale whose gradients overflow: halved until they do not, and no weight moves before."""
    same = [batch(0)] * 12
    state, scalars = trained(batches=same, **IN_FLOAT16)
    skipped = int(state["guard/skipped_steps"])
    assert 1 <= skipped < 12
    assert [s["loss_scale"] for s in scalars[: skipped + 1]] == [2.0 ** (24 - i) for i in range(skipped + 1)]
    assert int(state["adamw/iteration"]) == 12 - skipped
    assert len({s["loss"] for s in scalars[: skipped + 1]}) == 1
    assert scalars[-1]["loss"] < scalars[0]["loss"]


def test_an_average_follows_the_weights():
    begin = {v.path: v.numpy() for v in tiny_pretrainer(drop_path_rate=0.3).trainable_variables}
    one, _ = trained(batches=[batch(0)], **AVERAGING)
    for path, value in begin.items():
        np.testing.assert_allclose(one[f"ema/{path}"], value + 0.1 * (one[path] - value), atol=1e-7)
