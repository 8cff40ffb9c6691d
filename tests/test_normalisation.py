import numpy as np
import pytest

from mae.checkpoints.preprocessor import VideoPreprocessor
from mae.errors import ConfigError
from mae.normalisation import Statistics, statistics_of, usual_statistics
from mae.patches import normalise, normalise_patches, unnormalise
from mae.presets import Architecture, architecture


def test_imagenets_are_for_three_channels_alone():
    assert usual_statistics(3) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert usual_statistics(2) == ((0.5, 0.5), (0.5, 0.5))
    assert statistics_of(1, [0.25], None) == ((0.25,), (0.5,))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"mean": [0.1]}, r"mean=\[0.1\] must be 3 numbers: one for each of in_channels"),
        ({"std": [0.1, 0, 0.2]}, "must be 3 numbers above 0"),
        ({"in_channels": 1, "std": ["x"]}, "must be 1 number above 0"),
        ({"in_channels": 1, "mean": [float("nan")]}, "must be 1 number"),
        ({"in_channels": 1, "mean": 0.5, "std": [True]}, "std=.*must be 1 number"),
    ],
)
def test_a_number_for_each_channel(sizes, message):
    with pytest.raises(ConfigError, match=message):
        architecture("vit_tiny", **sizes)


def test_they_are_sizes_of_a_model():
    a = Architecture(in_channels=2, mean=[0.1, 0.2], std=[0.3, 0.4])
    assert a.statistics == Statistics((0.1, 0.2), (0.3, 0.4))
    assert hash(a) == hash(Architecture(in_channels=2, mean=(0.1, 0.2), std=(0.3, 0.4)))
    pixels = np.random.default_rng(0).random((1, 2, 4, 4, 2)).astype("f4")
    expected = (pixels - np.array([0.1, 0.2])) / np.array([0.3, 0.4])
    np.testing.assert_allclose(normalise(pixels, a.statistics), expected, rtol=1e-5)
    np.testing.assert_allclose(unnormalise(normalise(pixels, a.statistics), a.statistics), pixels, atol=1e-6)
    patches = normalise_patches(pixels.reshape(1, 2, 32), a.statistics)
    np.testing.assert_allclose(np.asarray(patches).ravel(), expected.ravel(), rtol=1e-5)
    whole = (pixels * 255).astype("u1")
    made = VideoPreprocessor(4, mean=a.mean, std=a.std)(whole)
    np.testing.assert_allclose(made, normalise(whole, a.statistics), rtol=1e-6)
