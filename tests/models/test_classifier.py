import keras
import numpy as np
import pytest
from tiny import SIZES, pixels, videos

from mae.errors import ConfigError
from mae.models.classifier import build_classifier


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_shapes_and_round_trip(pooling, tmp_path):
    model = build_classifier("vit_tiny", num_classes=5, pooling=pooling, **SIZES)
    logits = model(videos())
    assert logits.shape == (2, 5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(videos()), logits)


def test_a_fresh_head_is_small():
    model = build_classifier("vit_tiny", num_classes=1000, init_scale=0.001, **SIZES)
    # Published: a standard deviation of 0.02, scaled.
    assert model.head.kernel.numpy().std() == pytest.approx(0.02 * 0.001, rel=0.03)
    assert np.abs(model(videos())).max() < 1e-3


def test_mean_pooling_does_not_see_the_order_of_tokens_but_positions_do():
    model = build_classifier("vit_tiny", num_classes=5, init_scale=1.0, **SIZES)
    clip = pixels(1)
    reversed_in_time = clip[:, ::-1]
    assert np.abs(np.asarray(model(clip)) - np.asarray(model(reversed_in_time))).max() > 1e-6


def test_head_dropout_acts_in_training_only():
    model = build_classifier("vit_tiny", num_classes=5, head_dropout_rate=0.5, init_scale=1.0, **SIZES)
    np.testing.assert_array_equal(model(videos()), model(videos()))
    assert np.abs(np.asarray(model(videos(), training=True)) - np.asarray(model(videos()))).max() > 0


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="num_classes=0"):
        build_classifier("vit_tiny", num_classes=0)
    with pytest.raises(ConfigError, match="pooling 'max' does not exist"):
        build_classifier("vit_tiny", num_classes=5, pooling="max")
