"""Keras' own `fit` on the replicas of a `tf.distribute` strategy makes the updates that it makes on one device."""

import keras
import numpy as np
import pytest
from replicas import strategy_of
from small_steps import BATCH, batch
from tiny import SIZES, tiny_pretrainer

import mae

CLIPS, MASKS = (batch(0)[name] for name in ("videos", "is_masked"))
LABELS = np.arange(BATCH) % 3


def of_pretrainer():
    """With masks of its own: those that are drawn are drawn for the clips of a replica."""
    model = tiny_pretrainer(depth=1)
    model.compile(mae.build_optimizer(model, 1e-2, clip_grad_norm=0.05), mask_ratio=0.75)
    return model, ({"videos": CLIPS, "is_masked": MASKS.astype("uint8")},)


def of_classifier():
    model = mae.build_classifier("vit_tiny", num_classes=3, init_scale=1.0, **{**SIZES, "depth": 1})
    for number, variable in enumerate(model.trainable_variables):
        variable.assign(np.random.default_rng(number).normal(0.1, 0.3, variable.shape))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(mae.build_optimizer(model, 1e-2, clip_grad_norm=0.05), loss)
    return model, (CLIPS, LABELS)


def trained(make, replicas):
    """Losses of two updates, the last of them of an evaluation, and the weights."""
    with strategy_of(replicas).scope():
        model, data = make()
    losses = model.fit(*data, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history["loss"]
    losses.append(model.evaluate(*data, batch_size=BATCH, verbose=0))
    return losses, {variable.path: np.array(variable) for variable in model.variables}


@pytest.mark.parametrize("make", [of_pretrainer, of_classifier])
def test_two_replicas_learn_what_one_device_does(make):
    (losses, weights), (expected, expected_weights) = trained(make, 2), trained(make, 1)
    assert expected[-1] < expected[0]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for path, value in expected_weights.items():
        np.testing.assert_allclose(weights[path], value, atol=1e-5, err_msg=path)
