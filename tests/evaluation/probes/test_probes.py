"""Probes on hand-made features; NumPy brute force where there is something to compute."""

import math

import keras
import numpy as np
import pytest

from mae.evaluation.metrics import accuracy
from mae.evaluation.probes.attentive import QueryAttention, attentive_probe
from mae.evaluation.probes.knn import knn_probe, leave_one_out_knn
from mae.evaluation.probes.linear import linear_probe
from mae.evaluation.probes.spread import feature_spread


def clusters(count, seed, classes=4, width=12, noise=0.3):
    """Rows around one centre a class, in dimensions of very different scale and offset."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    centres = np.random.default_rng(99).normal(size=(classes, width))
    scale = 10.0 ** np.linspace(-3, 3, width)
    return ((centres[labels] + noise * rng.normal(size=(count, width))) * scale + 5 * scale).astype("f4"), labels


def marked_tokens(count, seed, tokens=6, width=8):
    """One token of each video is marked in dimension 0; its sign in dimension 1 is the class.

    The other tokens make up for it: the mean over the tokens says nothing at all about the class.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    features = 0.1 * rng.normal(size=(count, tokens, width))
    marked = rng.integers(0, tokens, count)
    sign = 2.0 * labels - 1
    features[:, :, 1] = -sign[:, None] / (tokens - 1)
    features[np.arange(count), marked, 0] += 3
    features[np.arange(count), marked, 1] = sign
    return features.astype("f4"), labels


def test_a_linear_probe_reads_what_is_linearly_there():
    (train, labels), (test, expected) = clusters(200, 0), clusters(100, 1)
    probabilities = linear_probe(train, labels, test, 4, least_steps=200, epochs=1)
    assert probabilities.shape == (100, 4)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert accuracy(probabilities, expected)[0] > 0.97


def test_a_linear_probe_finds_the_optimum_of_logistic_regression():
    """One feature, four kinds of rows: the optimum's odds are those of the counts."""
    train = np.repeat([[0.0], [1.0]], [10, 10], axis=0).astype("f4")
    labels = np.array([0] * 8 + [1] * 2 + [0] * 3 + [1] * 7)
    probabilities = linear_probe(train, labels, np.array([[0.0], [1.0]], "f4"), 2, least_steps=300)
    np.testing.assert_allclose(probabilities, [[0.8, 0.2], [0.3, 0.7]], atol=0.01)


def test_only_attention_solves_what_the_mean_does_not_show():
    (train, labels), (test, expected) = marked_tokens(256, 0), marked_tokens(128, 1)
    linear = linear_probe(train.mean(1), labels, test.mean(1), 2, least_steps=200, epochs=1)
    assert accuracy(linear, expected)[0] < 0.7
    attentive = attentive_probe(train, labels, test, 2, least_steps=250, epochs=1, learning_rate=3e-3)
    assert accuracy(attentive, expected)[0] > 0.95


def test_attention_of_one_query_is_keras_multi_head_attention():
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(3, 7, 12)).astype("f4")
    ours, theirs = QueryAttention(3, seed=0), keras.layers.MultiHeadAttention(3, 4)
    query = rng.normal(size=(1, 1, 12)).astype("f4")
    theirs(query, tokens[:1])
    for variable in theirs.variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    named = {"/".join(variable.path.split("/")[-2:]): np.asarray(variable) for variable in theirs.variables}
    ours.build(tokens.shape)
    # Their key bias shifts all scores of a query alike and drops out of the softmax.
    projected = np.einsum("d,dhk->hk", query[0, 0], named["query/kernel"]) + named["query/bias"]
    ours.set_weights(
        [projected, named["key/kernel"], named["value/kernel"], named["value/bias"],
         named["attention_output/kernel"].reshape(12, 12), named["attention_output/bias"]]
    )  # fmt: skip
    expected = theirs(np.tile(query, (3, 1, 1)), tokens)[:, 0]
    np.testing.assert_allclose(ours(tokens), expected, atol=1e-5)


def test_the_same_seed_gives_the_same():
    (train, labels), (test, _) = marked_tokens(32, 0), marked_tokens(8, 1)

    def attentive():
        return attentive_probe(train, labels, test, 2, seed=1, least_steps=3, epochs=1)

    def linear(seed):
        return linear_probe(train[:, 0], labels, test[:, 0], 2, seed, least_steps=3, epochs=1, batch_size=8)

    np.testing.assert_array_equal(attentive(), attentive())
    np.testing.assert_array_equal(linear(1), linear(1))
    assert np.abs(linear(1) - linear(2)).max() > 1e-3


def brute_force_knn(train, labels, test, num_classes, k, temperature):
    made = []
    for row in test.astype("f8"):
        similar = [float(row @ t / (math.hypot(*row) * math.hypot(*t))) for t in train.astype("f8")]
        votes = [0.0] * num_classes
        for i in sorted(range(len(train)), key=lambda i: -similar[i])[:k]:
            votes[labels[i]] += math.exp(similar[i] / temperature)
        made.append([vote / sum(votes) for vote in votes])
    return np.array(made)


@pytest.mark.parametrize(("k", "temperature"), [(20, 0.07), (3, 1.0), (500, 0.07)])
def test_nearest_neighbours_against_brute_force(k, temperature):
    rng = np.random.default_rng(0)
    train, test, labels = rng.normal(size=(60, 5)), rng.normal(size=(30, 5)), rng.integers(0, 3, 60)
    made = knn_probe(train, labels, test, 3, k=k, temperature=temperature)
    np.testing.assert_allclose(made, brute_force_knn(train, labels, test, 3, k, temperature), atol=1e-4)


def test_plain_votes():
    train = np.array([[1, 0], [0.99, 0.1], [0, 1], [0.1, 1], [0.2, 1]])
    labels = np.array([0, 0, 1, 1, 1])
    # All five vote: three to two, however near the two are.
    assert knn_probe(train, labels, np.array([[1, 0.0]]), 2, k=5, temperature=None).argmax() == 1
    # Two to two: the nearer ones decide.
    assert knn_probe(train[:4], labels[:4], np.array([[1, 0.2]]), 2, k=4, temperature=None).argmax() == 0


def test_a_row_is_not_its_own_neighbour():
    features = np.array([[1, 0], [1, 0.01], [0, 1], [0.01, 1], [1, 0.02]])
    labels = np.array([0, 1, 2, 2, 0])
    made = leave_one_out_knn(features, labels, 3, k=1)
    np.testing.assert_array_equal(made.argmax(1), [1, 0, 2, 2, 1])  # ties of rows 1: the earlier neighbour
    rest = [knn_probe(np.delete(features, i, 0), np.delete(labels, i), features[i : i + 1], 3, k=3) for i in range(5)]
    np.testing.assert_allclose(leave_one_out_knn(features, labels, 3, k=3), np.concatenate(rest), atol=1e-6)


def test_effective_rank_of_known_spectra():
    # Orthogonal rows of equal length use all dimensions, copies of one row a single one.
    assert feature_spread(3 * np.eye(8)).rank == pytest.approx(8, rel=1e-4)
    assert feature_spread(np.ones((8, 5))).rank == pytest.approx(1, abs=1e-4)
    # Singular values 3 and 1: entropy of (3/4, 1/4).
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert feature_spread(np.diag([3.0, 1.0])).rank == pytest.approx(math.exp(entropy), rel=1e-4)


def test_standard_deviation_of_features():
    assert feature_spread(np.ones((8, 5))).std == 0
    isotropic = np.random.default_rng(0).normal(size=(2000, 64))
    assert feature_spread(isotropic).std == pytest.approx(1 / 8, rel=0.02)
