"""Forward, loss and gradients against transformers' VideoMAE; see make_golden.py."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hugging_face import from_hugging_face

from mae.models.classifier import build_classifier
from mae.models.pretrainer import build_pretrainer, pretraining_loss
from mae.patches import normalised_target, patchify

FOLDER = Path(__file__).parent
SIZES = {
    "image_size": 32,
    "num_frames": 4,
    "patch_size": 8,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 3,
    "positions": "sincos",
    "decoder_embed_dim": 12,
    "decoder_depth": 2,
    "decoder_num_heads": 3,
}
# Two norms of transformers' models have PyTorch's default epsilon whatever the config says.
THEIR_EPSILON = 1e-5


def load(name):
    with np.load(FOLDER / name) as archive:
        arrays = dict(archive)

    def under(prefix):
        return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}

    weights, gradients = under("weights/"), under("gradients/")
    return arrays, from_hugging_face(weights), from_hugging_face(gradients) if gradients else {}


def fill(model, weights):
    paths = {variable.path.split("/", 1)[1]: variable for variable in model.trainable_variables}
    assert paths.keys() == weights.keys()
    for path, variable in paths.items():
        assert variable.shape == weights[path].shape
        variable.assign(weights[path])
    return paths


def check_gradients(loss_function, paths, gradients):
    with tf.GradientTape() as tape:
        loss = loss_function()
    made = tape.gradient(loss, [variable.value for variable in paths.values()])
    for path, gradient in zip(paths, made, strict=True):
        expected = gradients[path]
        error = np.abs(np.asarray(tf.convert_to_tensor(gradient)) - expected).max()
        assert error <= 1e-5 * np.abs(expected).max(), f"{path}: {error}"
    return float(loss)


@pytest.fixture(scope="module")
def pretraining():
    arrays, weights, gradients = load("pretraining.npz")
    model = build_pretrainer("vit_tiny", **SIZES)
    paths = fill(model, weights)
    model.decoder.norm.epsilon = THEIR_EPSILON
    return arrays, model, paths, gradients


def test_pretrainer_predicts_the_same(pretraining):
    arrays, model, _, _ = pretraining
    made = model(arrays["videos"], arrays["is_masked"])
    np.testing.assert_allclose(made, arrays["logits"], atol=1e-5)


def test_pretraining_loss_and_gradients_are_the_same(pretraining):
    arrays, model, paths, gradients = pretraining
    loss = check_gradients(lambda: pretraining_loss(model, arrays["videos"], arrays["is_masked"]), paths, gradients)
    assert loss == pytest.approx(float(arrays["loss"]), rel=1e-5)


def test_loss_on_pixels_is_the_same(pretraining):
    arrays, model, _, _ = pretraining
    loss = pretraining_loss(model, arrays["videos"], arrays["is_masked"], target="pixels")
    assert float(loss) == pytest.approx(float(arrays["loss_pixels"]), rel=1e-5)


def test_position_tables_are_the_same(pretraining):
    arrays, model, _, _ = pretraining
    np.testing.assert_allclose(model.encoder.positions.table, arrays["positions/encoder"], atol=1e-6)
    np.testing.assert_allclose(model.decoder.positions.table, arrays["positions/decoder"], atol=1e-6)


@pytest.mark.parametrize(("file", "pooling"), [("classification.npz", "mean"), ("classification_first.npz", "first")])
def test_classifier_gives_the_same_logits(file, pooling):
    arrays, weights, gradients = load(file)
    model = build_classifier("vit_tiny", num_classes=5, pooling=pooling, **SIZES)
    paths = fill(model, weights)
    if pooling == "mean":
        model.fc_norm.epsilon = THEIR_EPSILON
    np.testing.assert_allclose(model(arrays["videos"]), arrays["logits"], atol=1e-5)
    if gradients:

        def loss():
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(arrays["labels"], model(arrays["videos"]))
            return tf.reduce_mean(losses)

        assert check_gradients(loss, paths, gradients) == pytest.approx(float(arrays["loss"]), rel=1e-5)


@pytest.mark.parametrize("target", ["videomae", "mae_st", "pixels"])
def test_targets_are_those_of_explicit_loops(target):
    with np.load(FOLDER / "targets.npz") as arrays:
        made = normalised_target(patchify(arrays["pixels"], (2, 8, 8)), target, 3, 2)
        # One patch has a contrast of a thousandth: float32's rounding of its pixels is seen that much enlarged.
        np.testing.assert_allclose(made, arrays[f"targets/{target}"], atol=5e-5, rtol=1e-5)
