from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from mae.errors import ConfigError
from mae.finetuning.losses import soft_cross_entropy, soft_targets
from mae.finetuning.mixing import (
    DRAW_WIDTH,
    UNMIXED,
    MixingConfig,
    Mixture,
    cutmix_box,
    draw_mixture,
    mix,
    partners,
)

# As published (appendix of arXiv:2203.12602).
PUBLISHED = MixingConfig(mixup=0.8, cutmix=1.0, probability=1.0, switch_probability=0.5, label_smoothing=0.1)


def rows(mixture, batch):
    return np.tile(mixture.row(), (batch, 1))


def test_smoothed_targets_by_hand():
    made = soft_targets(np.array([0, 3]), 4, 0.1)
    np.testing.assert_allclose(made, [[0.925, 0.025, 0.025, 0.025], [0.025, 0.025, 0.025, 0.925]], atol=1e-7)


@pytest.mark.parametrize(("group", "expected"), [(2, [1, 0, 3, 2, 5, 4, 7, 6]), (4, [3, 2, 1, 0, 7, 6, 5, 4])])
def test_partners(group, expected):
    np.testing.assert_array_equal(partners(tf.range(8), group), expected)


@pytest.mark.parametrize("group", [0, 3, 6])
def test_batches_that_cannot_be_paired(group):
    with pytest.raises(ValueError, match=f"8 clips cannot be paired in groups of {group}"):
        partners(tf.range(8), group)


def test_mixup_by_hand():
    videos = np.array([0, 100, 50, 250], np.uint8).reshape(4, 1, 1, 1, 1) * np.ones((1, 2, 2, 2, 1), np.uint8)
    targets = soft_targets(np.array([0, 1, 2, 2]), 3, 0.3)
    mixture = Mixture(0.25, 0.25, (0, 0, 0, 0))
    mixed, labels = mix(videos, targets, np.ones(4, "f4"), rows(mixture, 4))
    np.testing.assert_allclose(np.asarray(mixed)[:, 0, 0, 0, 0], [75, 25, 200, 100])
    assert np.ptp(np.asarray(mixed), axis=(1, 2, 3)).max() == 0
    # 0.8 at the label and 0.1 elsewhere, before.
    expected = [[0.275, 0.625, 0.1], [0.625, 0.275, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]]
    np.testing.assert_allclose(labels, expected, atol=1e-6)


def test_cutmix_by_hand():
    videos = np.stack([np.zeros((2, 3, 4, 1)), np.ones((2, 3, 4, 1))]).astype("f4")
    mixture = Mixture(1.0, 0.75, (1, 2, 0, 3))  # 3 of 12 pixels
    mixed, labels = mix(videos, soft_targets(np.array([0, 1]), 2, 0.0), np.ones(2, "f4"), rows(mixture, 2))
    expected = [[0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    for frame in range(2):
        np.testing.assert_array_equal(np.asarray(mixed)[0, frame, ..., 0], expected)
        np.testing.assert_array_equal(np.asarray(mixed)[1, frame, ..., 0], 1 - np.array(expected))
    np.testing.assert_allclose(labels, [[0.75, 0.25], [0.25, 0.75]])


def test_an_unreadable_partner_is_not_mixed_in():
    videos = np.arange(4, dtype="f4").reshape(4, 1, 1, 1, 1)
    targets = soft_targets(np.array([0, 1, 0, 1]), 2, 0.0)
    mixture = Mixture(0.5, 0.5, (0, 0, 0, 0))
    mixed, labels = mix(videos, targets, np.array([1, 0, 1, 1], "f4"), rows(mixture, 4))
    np.testing.assert_allclose(np.asarray(mixed).ravel()[[0, 2, 3]], [0, 2.5, 2.5])
    np.testing.assert_allclose(np.asarray(labels)[[0, 2]], [[1, 0], [0.5, 0.5]])


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_any_number_of_replicas_gives_the_same(replicas):
    rng = np.random.default_rng(0)
    videos = rng.random((16, 2, 8, 8, 3)).astype("f4")
    targets = np.asarray(soft_targets(rng.integers(0, 5, 16), 5, 0.1))
    valid = (rng.random(16) < 0.8).astype("f4")
    draw = rows(draw_mixture(replace(PUBLISHED, mixup=0), seed=3, step=7, height=8, width=8), 16)
    whole = mix(videos, targets, valid, draw, group=4)
    shares = [np.split(array, replicas) for array in (videos, targets, valid, draw)]
    parts = [mix(*share, group=4) for share in zip(*shares, strict=True)]
    for i in range(2):
        np.testing.assert_array_equal(whole[i], np.concatenate([part[i] for part in parts]))
    assert np.abs(np.asarray(whole[0]) - videos).max() > 0.1


def test_the_box_is_cut_off_at_the_border():
    class Centre:
        def __init__(self, *indices):
            self.indices = iter(indices)

        def integers(self, length):
            return next(self.indices)

    # A quarter of 8 × 16 pixels: half of each side, 4 × 8.
    assert cutmix_box(0.75, 8, 16, Centre(4, 8)) == (2, 6, 4, 12)
    assert cutmix_box(0.75, 8, 16, Centre(0, 15)) == (0, 2, 11, 16)
    assert cutmix_box(1.0, 8, 16, Centre(4, 8)) == (4, 4, 8, 8)


def test_label_share_is_the_true_area():
    config = replace(PUBLISHED, mixup=0)
    for step in range(50):
        mixture = draw_mixture(config, 0, step, 10, 14)
        top, bottom, left, right = mixture.box
        assert 0 <= top <= bottom <= 10
        assert 0 <= left <= right <= 14
        assert mixture.label_share == pytest.approx(1 - (bottom - top) * (right - left) / 140)
        assert mixture.pixel_share == 1


def test_both_kinds_are_drawn_as_often_as_configured():
    config = replace(PUBLISHED, probability=0.8, switch_probability=0.25)
    made = [draw_mixture(config, 0, step, 224, 224) for step in range(4000)]
    unmixed = sum(mixture is UNMIXED for mixture in made)
    cutmix = sum(mixture is not UNMIXED and mixture.pixel_share == 1 for mixture in made)
    assert unmixed / 4000 == pytest.approx(0.2, abs=0.02)
    assert cutmix / 4000 == pytest.approx(0.8 * 0.25, abs=0.02)
    shares = np.array([m.label_share for m in made if m.pixel_share < 1])
    # Beta(0.8, 0.8) has the mean 1/2 and the variance 1 / (4 (2·0.8 + 1)).
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(1 / 10.4, abs=0.005)


def test_draws_depend_on_seed_and_step_alone():
    first = draw_mixture(PUBLISHED, 1, 5, 32, 32)
    assert draw_mixture(PUBLISHED, 1, 5, 32, 32) == first
    assert draw_mixture(PUBLISHED, 1, 6, 32, 32) != first
    assert draw_mixture(PUBLISHED, 2, 5, 32, 32) != first
    assert first.row().shape == (DRAW_WIDTH,)


def test_switched_off():
    off = replace(PUBLISHED, mixup=0, cutmix=0)
    assert draw_mixture(off, 0, 0, 8, 8) is UNMIXED
    videos = np.random.default_rng(0).random((2, 1, 2, 2, 3)).astype("f4")
    targets = np.eye(2, dtype="f4")
    mixed, labels = mix(videos, targets, np.ones(2, "f4"), rows(UNMIXED, 2))
    np.testing.assert_array_equal(mixed, videos)
    np.testing.assert_array_equal(labels, targets)


def test_cross_entropy_by_hand():
    logits = np.array([[0.0, np.log(3.0)], [5.0, 5.0]], "f4")  # probabilities 1/4 3/4, 1/2 1/2
    made = soft_cross_entropy(logits, np.array([[0.5, 0.5], [1.0, 0.0]], "f4"))
    np.testing.assert_allclose(made, [(np.log(4) + np.log(4 / 3)) / 2, np.log(2)], rtol=1e-6)


def test_cross_entropy_is_computed_in_float32():
    logits = np.random.default_rng(0).normal(0, 8, (4, 50)).astype("f4")
    rounded = tf.cast(logits, tf.bfloat16)
    targets = np.asarray(soft_targets(np.arange(4), 50, 0.1))
    made = soft_cross_entropy(rounded, targets)
    assert made.dtype == tf.float32
    np.testing.assert_allclose(made, soft_cross_entropy(np.asarray(tf.cast(rounded, tf.float32)), targets))


@pytest.mark.parametrize(
    "wrong", [{"mixup": -1}, {"cutmix": -0.1}, {"probability": 1.5}, {"switch_probability": -1}, {"label_smoothing": 1}]
)
def test_wrong_settings(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(PUBLISHED, **wrong)


def test_mixes_inside_a_compiled_function_of_unknown_batch():
    specs = [tf.TensorSpec((None, 1, 4, 4, 3), tf.uint8), tf.TensorSpec((None, 2)), tf.TensorSpec((None,))]

    @tf.function(input_signature=[*specs, tf.TensorSpec((None, DRAW_WIDTH))], autograph=False)
    def compiled(videos, targets, valid, draws):
        return mix(videos, targets, valid, draws)

    videos = np.random.default_rng(0).integers(0, 256, (4, 1, 4, 4, 3), "uint8")
    arguments = (videos, np.eye(4, 2, dtype="f4"), np.ones(4, "f4"), rows(Mixture(0.3, 0.3, (0, 0, 0, 0)), 4))
    for made, expected in zip(compiled(*arguments), mix(*arguments), strict=True):
        np.testing.assert_allclose(made, expected, atol=1e-4)
