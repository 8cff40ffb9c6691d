"""Every released layout, both kinds, against outputs of transformers; strictness; handoffs."""

import json
import shutil

import numpy as np
import pytest
from released_files import golden, keras_names, pytorch_state, without_encoder, write, write_h5, write_hugging_face
from test_transformers import SIZES, THEIR_EPSILON

from mae.checkpoints.containers.torch_zip import read_torch, write_torch
from mae.checkpoints.load import load_checkpoint
from mae.checkpoints.save import save_checkpoint
from mae.errors import ConfigError
from mae.models.classifier import build_classifier
from mae.models.pretrainer import build_pretrainer

FORMATS = ("A", "B", "C", "D", "E4", "E5", "Ebin")


def build(kind, **overrides):
    if kind == "pretrainer":
        return build_pretrainer("vit_tiny", **{**SIZES, **overrides})
    return build_classifier("vit_tiny", **{"num_classes": 5, **SIZES, **overrides})


def outputs(model, arrays):
    """As in the golden files, for which two norms have an epsilon that only their own format tells."""
    norm = model.decoder.norm if hasattr(model, "decoder") else model.fc_norm
    norm.epsilon = THEIR_EPSILON
    return model(arrays["videos"], arrays["is_masked"]) if "is_masked" in arrays else model(arrays["videos"])


def values(model):
    return [variable.numpy() for variable in model.variables]


def assert_unchanged(model, before):
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("kind", ["pretrainer", "classifier"])
@pytest.mark.parametrize("format", FORMATS)
def test_outputs_are_those_of_transformers(format, kind, tmp_path):
    model = build(kind)
    report = load_checkpoint(write(format, kind, tmp_path), model)
    assert report.kind == kind
    assert len(report.loaded) == len(model.trainable_variables)
    assert report.missing == report.unexpected == report.reshaped == report.interpolated == ()
    assert f"{len(report.loaded)} tensors" in report.table()
    arrays, _ = golden(kind)
    np.testing.assert_allclose(outputs(model, arrays), arrays["logits"], atol=1e-5)


def test_a_zipped_saved_model_is_read_as_downloaded(tmp_path):
    folder = tmp_path / "inside" / "TFVideoMAE_B_K400_16x224_FT"
    folder.parent.mkdir()
    write("B", "classifier", tmp_path).rename(folder)
    archive = shutil.make_archive(str(tmp_path / "release"), "zip", tmp_path / "inside")
    model = build("classifier")
    assert load_checkpoint(archive, model).format == "Keras SavedModel"
    arrays, _ = golden("classifier")
    np.testing.assert_allclose(outputs(model, arrays), arrays["logits"], atol=1e-5)


def test_epsilons_are_those_of_the_file(tmp_path):
    model = build("pretrainer")
    load_checkpoint(write("E5", "pretrainer", tmp_path), model)
    assert (model.encoder.norm.epsilon, model.decoder.norm.epsilon) == (1e-6, THEIR_EPSILON)
    load_checkpoint(write("D", "pretrainer", tmp_path), model)
    assert (model.encoder.norm.epsilon, model.decoder.norm.epsilon) == (1e-6, 1e-6)
    arrays, theirs = golden("pretrainer")
    arrays["config"] = str(arrays["config"]).replace('"layer_norm_eps": 1e-06, ', "")
    write_hugging_face(tmp_path / "default", arrays, theirs)
    load_checkpoint(tmp_path / "default", model)
    assert model.decoder.blocks[1].norm2.epsilon == model.architecture.layer_norm_epsilon == 1e-12


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"module": {"model": state}},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"model": {f"_orig_mod.{name}": tensor for name, tensor in state.items()}, "args": {"lr": 0.1}},
    ],
)
def test_wrappers_are_seen_through(wrap, tmp_path):
    arrays, theirs = golden("pretrainer")
    write_torch(tmp_path / "x", wrap(pytorch_state(theirs)))
    model = build("pretrainer")
    load_checkpoint(tmp_path / "x", model)
    np.testing.assert_allclose(outputs(model, arrays), arrays["logits"], atol=1e-5)


@pytest.mark.parametrize("prefix", ["encoder.", "backbone.", ""])
def test_an_encoder_alone(prefix, tmp_path):
    state = without_encoder(pytorch_state(golden("pretrainer")[1]))
    encoder = {f"{prefix}{name}": t for name, t in state.items() if name.startswith(("patch", "blocks", "norm"))}
    write_torch(tmp_path / "encoder.pth", encoder)
    model = build("pretrainer")
    before = values(model)
    with pytest.raises(ConfigError, match=r"missing: decoder/block_0/.*allow_missing=decoder"):
        load_checkpoint(tmp_path / "encoder.pth", model)
    assert_unchanged(model, before)
    report = load_checkpoint(tmp_path / "encoder.pth", model, allow_missing=("decoder",))
    assert report.kind == "encoder"
    assert report.fresh_decoder
    assert "encoder_to_decoder/kernel" in report.missing
    assert all(not name.startswith("encoder/") for name in report.missing)
    assert "FRESH" in report.table()
    report = load_checkpoint(tmp_path / "encoder.pth", build("classifier"))
    assert report.fresh_head


@pytest.mark.parametrize("kind", ["pretrainer", "classifier"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("blocks.1.attn.q_bias"), r"missing: \S*block_1/attention/q_bias \(\S*blocks.1.attn.q_bias\)"),
        (lambda s: s.update({"blocks.1.attn.k_bias": np.ones(24, "f4")}), r"unexpected: \S*blocks.1.attn.k_bias"),
        (lambda s: s.update({"blocks.2.norm1.weight": np.ones(24, "f4")}), r"unexpected: \S*blocks.2.norm1.weight"),
        (lambda s: s.update({"norm1.weight": np.ones(24, "f4")}), "unexpected: norm1.weight"),
        (lambda s: s.update({"blocks.0.mlp.fc1.bias": np.ones(95, "f4")}), r"fc1/bias \(95,\) for \(96,\)"),
        (lambda s: s.update({"blocks.0.attn.qkv.weight": s["blocks.0.attn.qkv.weight"].T}), "qkv/kernel"),
    ],
)
def test_nothing_may_be_missing_left_over_or_misshapen(kind, change, message, tmp_path):
    state = pytorch_state(golden(kind)[1])
    encoder = {name.removeprefix("encoder."): t for name, t in state.items() if name.startswith("encoder.")}
    rest = {name: tensor for name, tensor in state.items() if not name.startswith("encoder.")}
    change(encoder)
    write_torch(tmp_path / "x.pth", {"model": {**encoder, **rest}})
    model = build(kind)
    before = values(model)
    with pytest.raises(ConfigError, match=message) as error:
        load_checkpoint(tmp_path / "x.pth", model)
    assert "closest layout: PyTorch" in str(error.value)
    assert "\n" not in str(error.value)
    assert_unchanged(model, before)


@pytest.mark.parametrize("kind", ["pretrainer", "classifier"])
def test_a_keras_file_with_a_tensor_less_or_more(kind, tmp_path):
    rows = keras_names(pytorch_state(golden(kind)[1]), kind)
    place = next(i for i, row in enumerate(rows) if row[1].startswith("v_bias"))
    model = build(kind)
    before = values(model)
    write_h5(tmp_path / "less.h5", rows[:place] + rows[place + 1 :])
    with pytest.raises(ConfigError, match=r"missing: encoder/block_0/attention/v_bias \(v_bias_id\*\)"):
        load_checkpoint(tmp_path / "less.h5", model)
    extra = (rows[place][0], "k_bias_id3", np.ones(24, "f4"))
    write_h5(tmp_path / "more.h5", [*rows[:place], extra, *rows[place:]])
    with pytest.raises(ConfigError, match=r"unexpected: \S*k_bias_id3"):
        load_checkpoint(tmp_path / "more.h5", model)
    assert_unchanged(model, before)


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (2, 1, 0)])
def test_wrongly_fused_queries_keys_and_values_are_seen_in_the_outputs(order, tmp_path):
    """The golden outputs would catch every one of these mistakes, not by chance."""
    arrays, theirs = golden("classifier")
    state = pytorch_state(theirs)
    name = "encoder.blocks.0.attn.qkv.weight"
    parts = np.split(state[name], 3)
    state[name] = np.concatenate([parts[i] for i in order])
    write_torch(tmp_path / "x.pth", state)
    model = build("classifier")
    load_checkpoint(tmp_path / "x.pth", model)
    assert np.abs(np.asarray(outputs(model, arrays)) - arrays["logits"]).max() > 1e-3


@pytest.mark.parametrize("format", ["A", "C", "D", "E4"])
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_hand_off_to_a_classifier(format, pooling, tmp_path):
    model = build("classifier", pooling=pooling, num_classes=7)
    report = load_checkpoint(write(format, "pretrainer", tmp_path), model)
    fc_norm = ("fc_norm/beta", "fc_norm/gamma") if pooling == "mean" else ()
    assert report.missing == (*fc_norm, "head/bias", "head/kernel")
    assert report.fresh_head
    assert any("mask_token" in name for name in report.unexpected)
    assert sum("norm" in name and "encoder" in name.lower() and "block" not in name.lower() and "layer." not in name
               for name in report.unexpected) == (2 if pooling == "mean" and format != "E4" else 0)  # fmt: skip
    reference = build("pretrainer")
    load_checkpoint(write(format, "pretrainer", (tmp_path / "again").mkdir() or tmp_path / "again"), reference)
    for block, expected in zip(model.encoder.blocks, reference.encoder.blocks, strict=True):
        np.testing.assert_array_equal(block.attention.qkv.kernel, expected.attention.qkv.kernel)
    if pooling == "first":
        np.testing.assert_array_equal(model.encoder.norm.gamma, reference.encoder.norm.gamma)


def test_heads_follow_the_number_of_classes(tmp_path):
    arrays, theirs = golden("classifier")
    arrays["config"] = str(arrays["config"]).replace('"LABEL_0", "1"', '"jump", "1"')
    write_hugging_face(tmp_path / "hf", arrays, theirs)
    report = load_checkpoint(tmp_path / "hf", build("classifier"))
    assert not report.fresh_head
    assert report.id2label[0] == "jump"
    report = load_checkpoint(tmp_path / "hf", build("classifier", num_classes=6))
    assert report.missing == ("head/bias", "head/kernel")
    assert report.id2label == {}
    assert "5 classes in the file, 6 in the model" in report.table()


def test_a_classifier_becomes_a_pretrainer_with_a_fresh_decoder_only(tmp_path):
    path = write("D", "classifier", tmp_path)
    model = build("pretrainer")
    with pytest.raises(ConfigError, match="allow_missing=decoder"):
        load_checkpoint(path, model)
    report = load_checkpoint(path, model, allow_missing="decoder")
    assert report.fresh_decoder
    assert "encoder/norm/gamma" in report.missing
    assert set(report.unexpected) == {"fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"}


def test_another_decoder_starts_fresh_whole(tmp_path):
    path = write("D", "pretrainer", tmp_path)
    model = build("pretrainer", decoder_depth=1)
    with pytest.raises(ConfigError, match=r"unexpected: decoder.blocks.1"):
        load_checkpoint(path, model)
    mask_token = model.decoder.mask_token.numpy()
    report = load_checkpoint(path, model, allow_missing=("decoder",))
    np.testing.assert_array_equal(model.decoder.mask_token, mask_token)
    assert not any(name.startswith("decoder") for name in report.loaded)


def test_other_heads_of_attention_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="num_heads=3, the model has num_heads=2"):
        load_checkpoint(write("E5", "pretrainer", tmp_path), build("pretrainer", num_heads=2))


def test_a_table_of_another_kind_is_refused_unless_asked_for(tmp_path):
    """The released files have positions=sincos; with another table their outputs mean nothing."""
    arrays, _ = golden("pretrainer")
    path = write("D", "pretrainer", tmp_path)
    model = build("pretrainer", positions="sincos_factorised")
    before = values(model)
    with pytest.raises(ConfigError, match=r"positions=sincos, and the model has positions=sincos_factorised.*replace"):
        load_checkpoint(path, model)
    assert_unchanged(model, before)
    load_checkpoint(write("E5", "pretrainer", tmp_path), model, positions="interpolate")
    np.testing.assert_allclose(outputs(model, arrays), arrays["logits"], atol=1e-5)
    # What was exported of it computes the same, whatever its own configuration says.
    save_checkpoint(model, tmp_path / "again.h5", "keras_h5")
    again = build("pretrainer", positions="sincos")
    load_checkpoint(tmp_path / "again.h5", again)
    np.testing.assert_allclose(outputs(again, arrays), arrays["logits"], atol=1e-5)
    model = build("pretrainer", positions="sincos_factorised")
    report = load_checkpoint(path, model, positions="replace")
    assert any("the file was trained with sincos, so train further" in note for note in report.notes)
    assert np.abs(np.asarray(outputs(model, arrays)) - arrays["logits"]).max() > 0.01


def test_a_table_that_is_the_models_is_no_other_whatever_the_file_tells(tmp_path):
    """As exported by a version whose files did not tell their positions."""
    model = build("pretrainer", positions="sincos_factorised")
    save_checkpoint(model, tmp_path / "x.pth", "pytorch")
    write_torch(tmp_path / "x.pth", {"model": read_torch(tmp_path / "x.pth")["model"]})
    again = build("pretrainer", positions="sincos_factorised")
    assert load_checkpoint(tmp_path / "x.pth", again).notes == ()
    assert_unchanged(again, values(model))
    with pytest.raises(ConfigError, match="position table is for 32 tokens: give the model its image_size= and num_fr"):
        load_checkpoint(tmp_path / "x.pth", build("pretrainer", positions="sincos_factorised", num_frames=8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "gelu_new"}, "hidden_act='gelu_new', and this project's models have hidden_act='gelu' only"),
        ({"qkv_bias": False}, "qkv_bias=False, and this project's models have qkv_bias=True only"),
        ({"qk_scale": 0.5}, "qk_scale=0.5, and this project's models have qk_scale=None only"),
        ({"use_mean_pooling": False}, "use_mean_pooling=False, and its tensors are those of pooling=mean"),
        ({"patch_size": [8, 16]}, r"patch_size=\[8, 16\], and this project's patches are squares"),
        ({"num_attention_heads": 6}, "was made with num_heads=6, the model has num_heads=3"),
    ],
)
def test_options_of_a_hugging_face_folder_that_change_outputs_are_refused(change, message, tmp_path):
    path = write("E5", "classifier", tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    model = build("classifier")
    before = values(model)
    with pytest.raises(ConfigError, match=message):
        load_checkpoint(path.parent, model)
    assert_unchanged(model, before)


def test_a_head_that_reads_something_else_is_refused(tmp_path):
    model = build("classifier", pooling="first")
    with pytest.raises(ConfigError, match="was trained with pooling=mean, the model has pooling=first"):
        load_checkpoint(write("A", "classifier", tmp_path), model)
    save_checkpoint(model, tmp_path / "first.pth", "pytorch")
    with pytest.raises(ConfigError, match="was trained with pooling=first, the model has pooling=mean"):
        load_checkpoint(tmp_path / "first.pth", build("classifier"))


def test_heads_that_no_released_file_has_are_noted_where_the_file_tells_none(tmp_path):
    sizes = {
        "embed_dim": 384,
        "depth": 1,
        "decoder_depth": 1,
        "positions": "sincos",
        "image_size": 32,
        "patch_size": 16,
    }
    model = build("classifier", **sizes, num_heads=6)
    save_checkpoint(model, tmp_path / "x.pth", "pytorch")
    write_torch(tmp_path / "x.pth", {"module": read_torch(tmp_path / "x.pth")["module"]})
    assert load_checkpoint(tmp_path / "x.pth", model).notes == ()
    (note,) = load_checkpoint(tmp_path / "x.pth", build("classifier", **sizes, num_heads=12)).notes
    assert note == "the file does not tell num_heads: the model has 12, released ones as wide 6"
