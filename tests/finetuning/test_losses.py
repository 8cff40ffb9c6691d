"""Losses of the tasks against NumPy by hand, weights against scikit-learn's."""

import numpy as np
import pytest
from keras import ops
from sklearn.utils.class_weight import compute_class_weight

from mae.checkpoints.target_scale import TargetScale
from mae.finetuning.losses import (
    ClassLoss,
    LabelsLoss,
    NumbersLoss,
    balanced_class_weights,
    balanced_positive_weights,
    binary_cross_entropy,
    distance,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (6, 4)).astype("f4")


def log_softmax(logits):
    shifted = logits.astype("f8") - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def losses(loss, outputs, labels):
    return ops.convert_to_numpy(loss.losses(outputs, loss.targets(labels)))


def test_cross_entropy_of_weighted_classes():
    labels, weights = np.array([0, 1, 2, 3, 3, 3]), np.array([2.0, 1.0, 0.5, 4.0])
    targets = np.eye(4)[labels] * 0.9 + 0.1 / 4
    expected = -(weights * targets * log_softmax(LOGITS)).sum(1)
    np.testing.assert_allclose(losses(ClassLoss(4, 0.1, tuple(weights)), LOGITS, labels), expected, rtol=1e-5)


def test_balanced_class_weights_are_scikit_learns():
    labels = np.array([0] * 7 + [1] * 2 + [3])
    made = balanced_class_weights(labels, 5)
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    np.testing.assert_allclose([made[0], made[1], made[3]], expected)
    assert made[2] == made[4] == 0
    assert np.mean([made[label] for label in labels]) == pytest.approx(1)


@pytest.mark.parametrize("weights", [None, (3.0, 1.0, 0.5, 2.0)])
def test_binary_cross_entropy(weights):
    targets = RNG.random((6, 4)).astype("f4")
    p = 1 / (1 + np.exp(-LOGITS.astype("f8")))
    w = np.ones(4) if weights is None else np.array(weights)
    expected = -(w * targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(1)
    np.testing.assert_allclose(binary_cross_entropy(LOGITS, targets, weights), expected, rtol=1e-5)


def test_binary_cross_entropy_of_certain_labels_is_finite():
    made = np.asarray(binary_cross_entropy(np.array([[200.0, -200.0]]), np.array([[1.0, 1.0]])))
    np.testing.assert_allclose(made, [100.0])


def test_labels_are_smoothed_towards_one_half():
    made = ops.convert_to_numpy(LabelsLoss(0.2).targets(np.array([[1, 0]], "u1")))
    np.testing.assert_allclose(made, [[0.9, 0.1]], rtol=1e-6)


def test_positive_weights_make_both_sides_equal():
    truths = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]], np.uint8)
    assert balanced_positive_weights(truths) == (3.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("l1", [(0.5 + 3) / 2, (0 + 1) / 2]),
        ("l2", [(0.25 + 9) / 2, (0 + 1) / 2]),
        # Up to 2 a half of the square; beyond, 2·(3 - 1).
        ("huber", [(0.125 + 4) / 2, (0 + 0.5) / 2]),
    ],
)
def test_distances(kind, expected):
    made = distance(np.array([[1.5, -3.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 2.0]]), kind, huber_delta=2.0)
    np.testing.assert_allclose(made, expected, rtol=1e-6)


def test_numbers_are_learnt_less_their_mean_and_in_units_of_their_deviation():
    targets = np.array([[10.0, 1.0], [20.0, 3.0], [30.0, 2.0], [40.0, 2.0]])
    scale = TargetScale.of(targets)
    loss = NumbersLoss(scale, "l2", 1.0)
    made = ops.convert_to_numpy(loss.targets(targets.astype("f4")))
    np.testing.assert_allclose(made, (targets - targets.mean(0)) / targets.std(0), rtol=1e-5)
    np.testing.assert_allclose(scale.in_unit(made), targets, rtol=1e-5)
    assert loss.trivial(targets) == pytest.approx(1, rel=1e-5)  # the variance


def test_a_head_says_the_same_in_either_unit():
    scale = TargetScale((50.0, -3.0), (12.0, 0.1))
    head = {"head/kernel": RNG.normal(size=(8, 2)).astype("f4"), "head/bias": np.array([0.3, -0.2], "f4")}
    pooled = RNG.normal(size=(5, 8))
    in_unit = scale.head_in_unit(head)
    said = scale.in_unit(pooled @ head["head/kernel"] + head["head/bias"])
    np.testing.assert_allclose(pooled @ in_unit["head/kernel"] + in_unit["head/bias"], said, rtol=1e-5)
    for name, array in scale.head_in_deviations(in_unit).items():
        np.testing.assert_allclose(array, head[name], rtol=1e-4, atol=1e-6)


def brute_force(loss, truths, outputs):
    """The least mean loss among constant outputs."""
    values = [np.tile(np.asarray(row, "f4"), (len(truths), 1)) for row in outputs]
    return min(float(np.mean(losses(loss, value, truths))) for value in values)


def test_the_trivial_loss_is_the_best_of_constant_answers():
    labels = np.array([0, 0, 0, 1, 2])
    constant = [(a, b, 0) for a in np.linspace(-2, 4, 61) for b in np.linspace(-2, 4, 61)]
    for loss in (ClassLoss(3, 0.1), ClassLoss(3, 0.1, (0.5, 2.0, 1.0))):
        assert loss.trivial(labels) == pytest.approx(brute_force(loss, labels, constant), abs=2e-3)
    assert ClassLoss(3, is_balanced=True).trivial(labels) == pytest.approx(np.log(3))
    truths = np.array([[1], [0], [0], [0]], np.uint8)
    constant = [(a,) for a in np.linspace(-4, 4, 401)]
    for labels_loss in (LabelsLoss(), LabelsLoss(0.1, (3.0,))):
        assert labels_loss.trivial(truths) == pytest.approx(brute_force(labels_loss, truths, constant), abs=1e-3)
