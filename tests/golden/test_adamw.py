"""Trajectories against torch.optim.AdamW; see make_golden.py."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mae.engines.start import build_optimizer
from mae.engines.updates import Adam
from mae.training.schedules import warmup_cosine

GOLDEN = Path(__file__).parent / "adamw.npz"
NAMES = ("w1", "b1", "mask_token", "w2", "b2")


class Weights(keras.layers.Layer):
    """Named weights and nothing else."""

    def __init__(self, initial, **kwargs):
        super().__init__(**kwargs)
        self.held = {
            name: self.add_weight(name=name, shape=value.shape, initializer=keras.initializers.Constant(value))
            for name, value in initial.items()
        }
        self.built = True


class Encoder(keras.layers.Layer):
    """The parts by which layers are told: one embedding, one block."""

    def __init__(self, initial, **kwargs):
        super().__init__(**kwargs)
        self.patch_embed = Weights({name: initial[name] for name in ("w1", "b1")})
        self.positions = Weights({})
        self.blocks = [Weights({"mask_token": initial["mask_token"]})]
        self.built = True


class Regression(keras.Model):
    """y = gelu(x @ w1 + b1 + mask_token) @ w2 + b2."""

    def __init__(self, initial):
        super().__init__()
        self.encoder = Encoder(initial)
        self.rest = Weights({name: initial[name] for name in ("w2", "b2")})
        self.built = True

    def weight(self, name):
        return next(v for v in self.trainable_variables if v.path.endswith(f"/{name}"))

    def call(self, x):
        w1, b1, token, w2, b2 = (self.weight(name) for name in NAMES)
        return keras.ops.gelu(x @ w1 + b1 + token, approximate=False) @ w2 + b2


@pytest.mark.parametrize(
    ("run", "settings"),
    [
        ("schedule", {}),
        ("layerwise", {"layer_decay": 0.75}),
        ("clipped", {"clip_grad_norm": 0.02}),
        ("clipped_at_first", {"clip_grad_norm": 0.3}),
    ],
)
def test_trajectory(run, settings):
    with np.load(GOLDEN) as archive:
        golden = dict(archive)
    model = Regression({name: golden[f"initial/{name}"] for name in NAMES})
    rate = 1e-2 if run == "layerwise" else warmup_cosine(1e-2, 1e-3, total_steps=20, warmup_steps=5)
    optimizer = build_optimizer(model, rate, weight_decay=0.05, **settings)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(golden["x"]) - golden["target"]))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        return {"loss": loss, **optimizer.apply(gradients, model.trainable_variables)}

    for i, expected_loss in enumerate(golden[f"{run}/loss"]):
        made = step()
        assert float(made["loss"]) == pytest.approx(float(expected_loss), rel=1e-4)
        assert float(made["learning_rate"]) == pytest.approx(float(golden[f"{run}/learning_rate"][i]), rel=1e-5)
        assert float(made["grad_norm"]) == pytest.approx(float(golden[f"{run}/gradient_norm"][i]), rel=1e-4)
    for name in NAMES:
        expected = golden[f"{run}/weights/{name}"][-1] - golden[f"initial/{name}"]
        change = model.weight(name).numpy() - golden[f"initial/{name}"]
        assert np.linalg.norm(change) == pytest.approx(np.linalg.norm(expected), rel=1e-3), name
        np.testing.assert_allclose(change, expected, atol=1e-5, err_msg=name)


def test_keras_epsilon_would_not_follow():
    """Why `mae.engines.updates.Adam` exists: with a large epsilon the two places are told apart at once."""
    theirs, ours = (
        optimizer(learning_rate=0.1, beta_1=0.9, beta_2=0.95, epsilon=0.1)
        for optimizer in (keras.optimizers.Adam, Adam)
    )
    variables = [keras.Variable([1.0]), keras.Variable([1.0])]
    for optimizer, variable in zip((theirs, ours), variables, strict=True):
        optimizer.build([variable])
        optimizer.update_step(tf.constant([0.1]), variable.value, tf.constant(0.1))
    # First step by hand: m/(1-β1) = g and v/(1-β2) = g², so the update is 0.1 · g / (|g| + ε).
    assert variables[1].numpy()[0] == pytest.approx(1 - 0.1 * 0.1 / (0.1 + 0.1), rel=1e-6)
    assert abs(variables[0].numpy()[0] - variables[1].numpy()[0]) > 0.01
