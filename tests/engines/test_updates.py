"""One update of each choice against its published formula, written out in NumPy."""

from pathlib import Path

import keras
import numpy as np
import pytest
from replicas import CompiledStep, engine_of
from tiny import tiny_pretrainer

from mae.checkpoints.run_state import assign_arrays, variables_to_arrays
from mae.engines.engine import StepSettings, UpdateSettings
from mae.engines.optimizer_config import OPTIMIZERS, LambConfig, LionConfig, MuonConfig

RATE, DECAY = 0.01, 0.1
SHARED = {"weight_decay": DECAY, "final_weight_decay": None, "layer_decay": None, "clip_grad_norm": None}
CONFIGS = {
    "lamb": LambConfig("lamb", **SHARED, beta_1=0.9, beta_2=0.95, epsilon=1e-6),
    "lion": LionConfig("lion", **SHARED, beta_1=0.95, beta_2=0.98),
    "muon": MuonConfig("muon", **SHARED, momentum=0.95, ns_steps=5, rms=0.2, beta_1=0.9, beta_2=0.95, epsilon=1e-8),
}


class Matrices(keras.layers.Layer):
    def __init__(self, values, **kwargs):
        super().__init__(**kwargs)
        for name, value in values.items():
            initial = keras.initializers.Constant(value)
            setattr(self, name, self.add_weight(name=name, shape=value.shape, initializer=initial))
        self.built = True


class Small(keras.Model):
    """A wide and a tall matrix, a bias and an output matrix, called as in our models."""

    def __init__(self):
        super().__init__(name="small")
        rng = np.random.default_rng(0)
        wide, tall = (rng.normal(0, 1, shape).astype("float32") for shape in ((2, 3), (4, 2)))
        self.block = Matrices({"wide": wide, "tall": tall, "bias": np.array([0.5, -1], "float32")}, name="block")
        self.head = Matrices({"kernel": rng.normal(0, 1, (2, 2)).astype("float32")}, name="head")
        self.built = True


def gradients(seed, variables):
    return [np.random.default_rng((seed, i)).normal(0, 1, v.shape).astype("float32") for i, v in enumerate(variables)]


def updated(config, steps, state=None):
    """The whole state after updates number `steps` with fixed gradients, from a saved state or from the beginning."""
    model = Small()
    optimizer = engine_of(1).optimizer(model, UpdateSettings(config, RATE, DECAY))
    variables = [*model.variables, *optimizer.variables]
    if state is not None:
        assign_arrays(variables, state, Path("saved"))
    for step in steps:
        values = gradients(step, model.trainable_variables)
        optimizer.apply([keras.ops.convert_to_tensor(value) for value in values], model.trainable_variables)
    return variables_to_arrays(variables)


def by_formula(step_of, steps):
    """The same with `step_of(path) -> function of (gradient, number of the update from 1)`, after the decay."""
    model = Small()
    weights = {v.path: v.numpy().astype("float64") for v in model.trainable_variables}
    functions = {path: step_of(path, weights) for path in weights}
    for step in range(steps):
        for path, gradient in zip(weights, gradients(step, model.trainable_variables), strict=True):
            if weights[path].ndim > 1:
                weights[path] = weights[path] * (1 - RATE * DECAY)
            weights[path] = weights[path] - RATE * functions[path](gradient.astype("float64"), step + 1)
    return weights


def adam(beta_1, beta_2, epsilon, epsilon_hat=False):
    m = v = 0

    def direction(g, t):
        nonlocal m, v
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
        if epsilon_hat:  # as in the text before section 2.1 of arXiv:1412.6980
            return np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (np.sqrt(v) + epsilon)
        return m / (1 - beta_1**t) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)

    return direction


def lamb(path, weights):
    inner = adam(0.9, 0.95, 1e-6)

    def direction(g, t):
        update = inner(g, t)
        return update * np.linalg.norm(weights[path]) / np.linalg.norm(update)

    return direction


def lion(path, weights):
    m = 0

    def direction(g, t):
        nonlocal m
        sign = np.sign(0.95 * m + 0.05 * g)
        m = 0.98 * m + 0.02 * g
        return sign

    return direction


def muon(path, weights):
    if path == "small/head/kernel" or weights[path].ndim != 2:
        return adam(0.9, 0.95, 1e-8, epsilon_hat=True)
    m = 0

    def direction(g, t):
        nonlocal m
        m = 0.95 * m + g
        # The quintic iteration acts on the singular values alone.
        u, s, vt = np.linalg.svd(g + 0.95 * m, full_matrices=False)
        s = s / np.linalg.norm(s)
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        return 0.2 * np.sqrt(max(g.shape)) * (u * s) @ vt

    return direction


@pytest.mark.parametrize(("name", "formula"), [("lamb", lamb), ("lion", lion), ("muon", muon)])
def test_two_updates_follow_the_formula(name, formula):
    made, expected = updated(CONFIGS[name], range(2)), by_formula(formula, 2)
    for path, value in expected.items():
        np.testing.assert_allclose(made[path], value, rtol=1e-4, atol=1e-5, err_msg=path)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_saved_state_goes_on_bit_for_bit(name):
    whole = updated(CONFIGS[name], range(4))
    resumed = updated(CONFIGS[name], range(2, 4), updated(CONFIGS[name], range(2)))
    assert whole.keys() == resumed.keys()
    for path, value in whole.items():
        np.testing.assert_array_equal(resumed[path], value, err_msg=path)


@pytest.mark.parametrize("name", CONFIGS)
def test_replicas_make_the_same_updates(name):
    one, two = (updated_by_replicas(CONFIGS[name], replicas) for replicas in (1, 2))
    for path, value in one.items():
        np.testing.assert_allclose(two[path], value, atol=1e-6, err_msg=path)


def updated_by_replicas(config, replicas):
    """The whole state after two steps on losses whose gradients are those of `gradients`, times a number a clip."""
    engine = engine_of(replicas)

    def build():
        model = Small()
        return model, engine.optimizer(model, UpdateSettings(config, RATE, DECAY))

    def losses_of(model):
        weights = model.trainable_variables
        directions = gradients(0, weights)
        return lambda part: (
            part["factor"]
            * sum(keras.ops.sum(weight * direction) for weight, direction in zip(weights, directions, strict=True))
        )

    step = CompiledStep(engine, build, losses_of, StepSettings(batch_size=4))
    ones, factors = np.ones(4, "float32"), np.array([1, -2, 3, 0.5], "float32")
    return step.train([{"factor": factors * n, "valid": ones, "short": ones, "decode_ms": ones} for n in (1, 2)])[0]


def test_muon_takes_the_matrices_inside_the_blocks_and_nothing_else():
    model = tiny_pretrainer(positions="learnable")
    optimizer = engine_of(1).optimizer(model, UpdateSettings(CONFIGS["muon"], RATE, DECAY))
    slots = {v.path for v in optimizer.variables}
    with_adam = {
        v.path.removeprefix("pretrainer/")
        for v in model.trainable_variables
        if f"muon/{v.path.replace('/', '_')}_velocity" in slots
    }
    matrices = {v.path.removeprefix("pretrainer/") for v in model.trainable_variables if len(v.shape) == 2}
    assert matrices & with_adam == {
        *("encoder/patch_embed/kernel", "encoder/positions/table", "decoder/positions/table", "decoder/head/kernel"),
    }
    assert {"encoder_to_decoder/kernel", "encoder/block_0/attention/qkv/kernel"} <= matrices - with_adam
    assert "decoder/mask_token" in with_adam


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_choice_has_the_same_groups_and_its_slots_from_the_start(name):
    config = CONFIGS.get(name, OPTIMIZERS["adamw"]("adamw", **SHARED, beta_1=0.9, beta_2=0.95, epsilon=1e-8))
    model = tiny_pretrainer()
    optimizer = engine_of(1).optimizer(model, UpdateSettings(config, RATE, DECAY))
    before = [v.path for v in optimizer.variables]
    assert len(set(before)) == len(before) > len(model.trainable_variables)
    optimizer.apply(gradients(0, model.trainable_variables), model.trainable_variables)
    assert [v.path for v in optimizer.variables] == before
    assert [(g.decays, len(g.variables)) for g in optimizer.groups] == [(True, 15), (False, 34)]
