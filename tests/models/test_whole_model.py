"""Models as Keras' users expect them: built, shown, saved, exported, adapted."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from tiny import SIZES, masks, tiny_pretrainer

import mae
from mae import saved_classes
from mae.checkpoints.read import read_weights
from mae.models.decoder import Decoder
from mae.target_config import Target

ON_TENSORFLOW = keras.config.backend() == "tensorflow"
CLIPS = np.random.default_rng(0).integers(0, 256, (4, 4, 16, 16, 3), "uint8")


def tiny_classifier(**settings):
    """Random weights, the same in every call."""
    model = mae.build_classifier("vit_tiny", **{"num_classes": 5, "init_scale": 1.0, **SIZES, **settings})
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(np.random.default_rng(i).normal(0.1, 0.3, variable.shape))
    return model


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def assert_same_weights(model, other):
    for variable, expected in zip(model.variables, other.variables, strict=True):
        assert variable.path == expected.path
        np.testing.assert_array_equal(numpy(variable), numpy(expected), err_msg=variable.path)


def summary(model):
    lines = []
    model.summary(expand_nested=True, line_length=100, print_fn=lines.append)
    return "\n".join(lines)


def test_a_summary_shows_blocks_and_shapes():
    classifier, pretrainer = tiny_classifier(), tiny_pretrainer()
    for model, shape in ((classifier, "(None, 32, 24)"), (classifier.encoder, "(None, 32, 24)"), (pretrainer, "96)")):
        text = summary(model)
        assert "block_1 (TransformerBlock)" in text
        assert shape in text
        assert "?" not in text
        assert "unbuilt" not in text


def test_a_model_says_what_it_takes_and_gives():
    classifier, pretrainer = tiny_classifier(), tiny_pretrainer()
    assert classifier.input_shape == (None, 4, 16, 16, 3)
    assert [(tensor.name, tensor.dtype) for tensor in classifier.inputs] == [("videos", "uint8")]
    assert classifier.output_shape == classifier.compute_output_shape((None, 4, 16, 16, 3)) == (None, 5)
    assert pretrainer.input_shape == [(None, 4, 16, 16, 3), (None, 32)]
    assert pretrainer.output_shape == (None, None, 96)
    assert classifier.encoder.output_shape == (None, 32, 24)
    assert pretrainer.decoder.output_shape == (None, None, 96)
    with pytest.raises(ValueError, match="frames 4"):
        classifier.compute_output_shape((None, 8, 16, 16, 3))


def test_functional_models_are_made_of_the_inputs():
    model = tiny_classifier()
    functional = keras.Model(model.inputs, keras.layers.Softmax()(model(*model.inputs)))
    assert functional.output_shape == (None, 5)
    expected = numpy(keras.ops.softmax(model(CLIPS)))
    np.testing.assert_allclose(numpy(functional([CLIPS])), expected, rtol=1e-4)
    pretrainer = tiny_pretrainer()
    functional = keras.Model(pretrainer.inputs, pretrainer(*pretrainer.inputs))
    np.testing.assert_allclose(functional([CLIPS, masks(4)]), pretrainer(CLIPS, masks(4)), rtol=1e-4, atol=1e-4)


def test_two_inputs_may_come_as_one_and_a_missing_mask_is_named():
    model = tiny_pretrainer()
    np.testing.assert_array_equal(model((CLIPS, masks(4))), model(CLIPS, masks(4)))
    with pytest.raises(ValueError, match="a mask is missing"):
        model(CLIPS)


def test_models_are_exported_without_having_been_called(tmp_path):
    classifier, pretrainer = tiny_classifier(), tiny_pretrainer()
    if not ON_TENSORFLOW:
        with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
            classifier.export(tmp_path / "classifier")
        return
    import tensorflow as tf

    classifier.export(tmp_path / "classifier", verbose=False)
    served = tf.saved_model.load(tmp_path / "classifier")
    np.testing.assert_allclose(served.serve(CLIPS[:3]), classifier(CLIPS[:3]), rtol=1e-4, atol=1e-5)
    pretrainer.export(tmp_path / "pretrainer", verbose=False)
    served = tf.saved_model.load(tmp_path / "pretrainer")
    np.testing.assert_allclose(served.serve(CLIPS, masks(4)), pretrainer(CLIPS, masks(4)), rtol=1e-4, atol=1e-4)


# Only the package is imported.
FRESH = """
import sys
import mae
assert "keras" not in sys.modules
import keras
import numpy as np
clips, masks = np.load(sys.argv[1]).values()
pretrainer = keras.models.load_model(sys.argv[2])
classifier = keras.models.load_model(sys.argv[3])
rates = [float(pretrainer.optimizer.learning_rate), float(pretrainer.optimizer.get_config()["weight_decay"])]
state = np.concatenate([np.ravel(keras.ops.convert_to_numpy(v)) for v in pretrainer.optimizer.variables])
np.savez(sys.argv[4], pretrainer(clips, masks), classifier(clips), state, rates)
"""


def test_files_are_loaded_in_a_fresh_process_after_importing_the_package_alone(tmp_path):
    pretrainer, classifier = tiny_pretrainer(depth=1), tiny_classifier(depth=1)
    optimizer = mae.build_optimizer(pretrainer, mae.warmup_cosine(1e-3, 1e-5, 10, 2, start=1e-4), layer_decay=0.75)
    optimizer.apply([keras.ops.ones(v.shape) for v in pretrainer.trainable_variables], pretrainer.trainable_variables)
    pretrainer.compile(optimizer, mask_ratio=0.75, target=Target("difference", weight="motion"))
    pretrainer.save(tmp_path / "pretrainer.keras")
    classifier.save(tmp_path / "classifier.keras")
    np.savez(tmp_path / "inputs.npz", CLIPS, masks(4))
    files = [tmp_path / name for name in ("inputs.npz", "pretrainer.keras", "classifier.keras", "made.npz")]
    made = subprocess.run([sys.executable, "-c", FRESH, *files], capture_output=True, text=True, env=os.environ)
    assert made.returncode == 0, made.stderr
    predicted, logits, state, rates = np.load(files[-1]).values()
    np.testing.assert_array_equal(predicted, numpy(pretrainer(CLIPS, masks(4))))
    np.testing.assert_array_equal(logits, numpy(classifier(CLIPS)))
    np.testing.assert_array_equal(state, np.concatenate([np.ravel(numpy(v)) for v in optimizer.variables]))
    np.testing.assert_allclose(rates, [1e-3, 0.05], rtol=1e-6)


def test_a_file_of_keras_names_weights_as_it_did_before_the_parts_of_a_model_were_models(tmp_path):
    tiny_pretrainer().save(tmp_path / "pretrainer.keras")
    arrays = read_weights(tmp_path / "pretrainer.keras").arrays
    assert {"encoder/patch_embed/kernel", "encoder/norm/gamma", "decoder/norm/gamma"} <= set(arrays)


def test_where_keras_is_imported_before_the_package_it_is_told_at_once(monkeypatch):
    known = keras.saving.get_custom_objects()
    for name in saved_classes.HOMES:
        monkeypatch.delitem(known, f"mae>{name}", raising=False)
    saved_classes.register_saved_classes()
    assert {f"mae>{name}" for name in saved_classes.HOMES} <= set(known)


def test_every_class_that_files_name_is_where_keras_is_told():
    for name in saved_classes.HOMES:
        saved_classes._Later(name).home()
    ours = {name for name in keras.saving.get_custom_objects() if name.startswith("mae>")}
    assert ours == {f"mae>{name}" for name in saved_classes.HOMES}
    assert keras.saving.get_registered_object("mae>Decoder") is Decoder


def test_a_configuration_is_complete():
    model = tiny_classifier(pooling="first", head_dropout_rate=0.5, drop_path_rate=0.1, dtype="mixed_bfloat16")
    model.encoder.patch_embed.trainable = model.encoder.blocks[0].mlp.trainable = False
    again = keras.models.clone_model(model)
    assert again.get_config() == model.get_config()
    assert [v.path for v in again.trainable_variables] == [v.path for v in model.trainable_variables]
    assert len(again.trainable_variables) < len(again.variables) - 5
    assert again.dtype_policy.name == "mixed_bfloat16"
    model.encoder.trainable = False
    head_only = type(model).from_config(model.get_config())
    head_only.build()
    assert [v.path for v in head_only.trainable_variables] == ["classifier/head/kernel", "classifier/head/bias"]


def test_weights_files(tmp_path):
    model, other = tiny_classifier(), mae.build_classifier("vit_tiny", num_classes=5, **SIZES)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert_same_weights(other, model)


def test_an_encoder_is_a_model_of_its_own(tmp_path):
    encoder = tiny_classifier().encoder
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    patches = np.random.default_rng(0).random((2, 32, 96), "float32")
    np.testing.assert_array_equal(loaded(patches), encoder(patches))


def test_a_new_head_is_fresh_and_all_below_it_is_kept():
    model = tiny_classifier(init_scale=0.001)
    model.encoder.blocks[0].trainable = False
    before = numpy(model(CLIPS))
    made = model.new_head(700, head_dropout_rate=0.5)
    assert made(CLIPS).shape == (4, 700)
    assert numpy(made.head.kernel).std() == pytest.approx(0.02 * 0.001, rel=0.03)  # published, scaled
    assert not numpy(made.head.bias).any()
    assert made.head_dropout.rate == 0.5
    assert_same_weights(made.encoder, model.encoder)
    assert_same_weights(made.fc_norm, model.fc_norm)
    assert len(made.trainable_variables) == len(model.trainable_variables)
    np.testing.assert_array_equal(model(CLIPS), before)


def test_lora_trains_little_and_is_merged_where_it_is_saved(tmp_path):
    model = tiny_classifier()
    before = numpy(model(CLIPS))
    dense = [layer for layer in model.encoder._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    for layer in dense:
        layer.enable_lora(2)
    np.testing.assert_array_equal(model(CLIPS), before)
    assert not any(v.path.endswith("qkv/kernel") for v in model.trainable_variables)
    for layer in dense:
        layer.lora_kernel_b.assign(np.full(layer.lora_kernel_b.shape, 0.1))
    adapted = numpy(model(CLIPS))
    assert np.abs(adapted - before).max() > 1e-3
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "model.keras")(CLIPS), adapted, rtol=1e-4, atol=1e-5)
    merged = model.new_head(5)
    merged.head.set_weights(model.head.get_weights())
    np.testing.assert_allclose(merged(CLIPS), adapted, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
def test_int8_computes_nearly_the_same():
    model = tiny_classifier()
    before = numpy(model(CLIPS))
    model.quantize("int8")
    quantised = numpy(model(CLIPS))
    assert model.encoder.blocks[0].mlp.fc1._kernel.dtype == "int8"
    assert 0 < np.abs(quantised - before).max() < 0.1 * np.abs(before).max()
    with pytest.raises(ValueError, match="expected"):
        model.new_head(3)
    other = tiny_classifier()
    other.quantize("int4")
    with pytest.raises(ValueError, match="quantised as int4: of these"):
        other(CLIPS)
