"""One step, however its batch is spread over devices and parts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import masks, tiny_pretrainer

from mae.training.config import LambConfig, LionConfig, MuonConfig
from mae.training.optimizer import build_optimizer, configured_optimizer
from mae.training.pretraining import pretraining_step
from mae.training.run_state import variables_to_arrays
from mae.training.schedules import warmup_cosine

BATCH = 8


def batch(seed, bad=()):
    rng = np.random.default_rng(seed)
    valid = np.ones(BATCH, "float32")
    valid[list(bad)] = 0
    return {
        "videos": rng.integers(0, 256, (BATCH, 4, 16, 16, 3), "uint8"),
        "is_masked": masks(BATCH, seed),
        "valid": valid,
        "decode_ms": np.ones(BATCH, "float32"),
        "path_noise": rng.random((BATCH, 4)).astype("float32"),
    }


def strategy_of(replicas):
    if replicas == 1:
        return tf.distribute.OneDeviceStrategy("CPU:0")
    devices = [f"CPU:{i}" for i in range(replicas)]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())


def trained(replicas=1, accumulate=1, batches=None, jit=False, config=None):
    """Weights, slots and scalars after a step on each of `batches`."""
    batches = batches or [batch(0), batch(1), batch(2, bad=[5])]
    strategy = strategy_of(replicas)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = tiny_pretrainer(drop_path_rate=0.3)
        rate = warmup_cosine(1e-2, 1e-3, 10, 3, start=1e-3)
        optimizer = (
            build_optimizer(model, rate, layer_decay=0.8, clip_grad_norm=0.05)
            if config is None
            else configured_optimizer(model, config, rate, 0.05)
        )
    step = pretraining_step(
        strategy,
        model,
        optimizer,
        target="videomae",
        num_masked=24,
        batch_size=BATCH,
        accumulate=accumulate,
        jit=jit,
    )
    joined = {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}
    data = tf.data.Dataset.from_tensor_slices(joined).batch(BATCH // replicas)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    data = strategy.distribute_datasets_from_function(lambda _: data.with_options(options))
    scalars = [{name: float(value) for name, value in step(element).items()} for element in data]
    return variables_to_arrays([*model.variables, *optimizer.variables]), scalars


@pytest.fixture(scope="module")
def one_replica():
    return trained()


@pytest.mark.parametrize(("replicas", "accumulate"), [(2, 1), (4, 1), (1, 4), (2, 2)])
def test_replicas_and_parts_change_nothing(one_replica, replicas, accumulate):
    state, scalars = trained(replicas, accumulate)
    expected_state, expected_scalars = one_replica
    for name, value in expected_state.items():
        np.testing.assert_allclose(state[name], value, atol=1e-6, err_msg=name)
    for made, expected in zip(scalars, expected_scalars, strict=True):
        assert made == pytest.approx(expected, rel=1e-5)


SHARED = {"weight_decay": 0.05, "final_weight_decay": None, "layer_decay": 0.8, "clip_grad_norm": 0.05}
OTHERS = [
    LambConfig("lamb", **SHARED, beta_1=0.9, beta_2=0.95, epsilon=1e-6),
    LionConfig("lion", **SHARED, beta_1=0.95, beta_2=0.98),
    MuonConfig("muon", **SHARED, momentum=0.95, ns_steps=5, rms=0.2, beta_1=0.9, beta_2=0.95, epsilon=1e-8),
]


@pytest.mark.parametrize("config", OTHERS, ids=lambda config: config.name)
def test_replicas_change_nothing_for_any_optimizer(config):
    two, scalars = trained(2, config=config)
    one, expected = trained(1, config=config)
    # Lion moves a value by its whole rate one way or the other: where the sum over replicas is rounded to another
    # side of zero, that value differs; no other does.
    flipped = 0
    for name, value in one.items():
        apart = np.abs(two[name] - value) > 2e-6
        flipped += int(apart.sum())
    assert flipped <= (3 if config.name == "lion" else 0)
    for made, other in zip(scalars, expected, strict=True):
        assert made == pytest.approx(other, rel=1e-4)


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
    assert scalars[0]["bad_clips"] == 1
    assert scalars[0]["loss"] == other_scalars[0]["loss"]
    for name, value in with_bad.items():
        np.testing.assert_array_equal(other[name], value)
    # The mean is over the readable seven, not over eight.
    clean = trained(batches=[batch(0)])[1][0]["loss"]
    assert scalars[0]["loss"] == pytest.approx(clean, rel=0.1)


def test_after_a_gradient_that_is_not_finite_no_update_is_made():
    poisoned = batch(1)
    poisoned["decode_ms"][:] = 1
    poisoned["path_noise"] = poisoned["path_noise"].copy()
    poisoned["valid"][0] = np.nan
    before, _ = trained(batches=[batch(0)])
    after, scalars = trained(batches=[batch(0), poisoned, batch(2)])
    assert np.isfinite(scalars[0]["grad_norm"])
    assert not np.isfinite(scalars[1]["grad_norm"])
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
