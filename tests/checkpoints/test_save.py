"""What is written, and that it comes back bit for bit."""

import json
import subprocess
import sys
from dataclasses import asdict

import h5py
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from keras import ops
from released_files import golden, keras_names, pytorch_state, without_encoder, write
from safetensors import safe_open
from test_load import build

from mae.checkpoints.containers.torch_zip import read_torch
from mae.checkpoints.load import load_checkpoint
from mae.checkpoints.metadata import KEY, Training
from mae.checkpoints.preprocessor import VideoPreprocessor
from mae.checkpoints.read import read_weights
from mae.checkpoints.run_state import Checkpoints, variables_to_arrays
from mae.checkpoints.save import FORMATS, save_checkpoint
from mae.engines.start import build_optimizer
from mae.errors import ConfigError
from mae.patches import normalise, patchify

KINDS = ("pretrainer", "classifier")
NAMES = {
    "huggingface": "hf",
    "pytorch": "x.pth",
    "keras_h5": "x.h5",
    "keras": "x.keras",
    "savedmodel": "saved",
    "onnx": "x.onnx",
}
LABELS = dict(enumerate(["jump", "run", "sit", "throw", "wave"]))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The golden model of each kind."""
    made = {kind: build(kind) for kind in KINDS}
    for kind, model in made.items():
        load_checkpoint(write("A", kind, tmp_path_factory.mktemp(kind)), model)
    return made


def assert_same(one, other):
    assert len(one.variables) == len(other.variables)
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_follows_another_bit_for_bit(models, kind, tmp_path):
    """A → E → D → A → Keras → SavedModel."""
    previous = models[kind]
    for step, format in enumerate(["huggingface", "pytorch", "keras_h5", "keras", "savedmodel"]):
        path = tmp_path / f"{step}_{NAMES[format]}"
        save_checkpoint(previous, path, format)
        model = build(kind)
        report = load_checkpoint(path, model)
        assert len(report.loaded) == len(model.trainable_variables)
        assert_same(model, models[kind])
        previous = model


@pytest.mark.parametrize("kind", KINDS)
def test_pytorch_names_and_layouts_are_those_of_the_release(models, kind, tmp_path):
    save_checkpoint(models[kind], tmp_path / "x.pth", "pytorch")
    written = read_torch(tmp_path / "x.pth")
    state = pytorch_state(golden(kind)[1])
    wrapper, expected = ("model", state) if kind == "pretrainer" else ("module", without_encoder(state))
    assert written.keys() == {wrapper, "mae_video"}
    assert written[wrapper].keys() == expected.keys()
    for name, tensor in written[wrapper].items():
        np.testing.assert_array_equal(tensor, expected[name], err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_hugging_face_names_layouts_and_sizes(models, kind, tmp_path):
    """As save_pretrained of transformers 5.23 writes them; that it opens them: test_peer.py."""
    save_checkpoint(models[kind], tmp_path / "hf", "huggingface", LABELS if kind == "classifier" else None)
    arrays, theirs = golden(kind)
    expected = {n.replace("query.bias", "q_bias").replace("value.bias", "v_bias"): t for n, t in theirs.items()}
    with safe_open(tmp_path / "hf" / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
        assert set(file.keys()) == expected.keys()
        for name in file.keys():  # noqa: SIM118
            np.testing.assert_array_equal(file.get_tensor(name), expected[name], err_msg=name)
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    golden_config = json.loads(str(arrays["config"]))
    if kind == "classifier":
        golden_config |= {"id2label": {str(i): label for i, label in LABELS.items()}}
        golden_config |= {"label2id": {label: i for i, label in LABELS.items()}}
    else:
        decoder = [name for name in golden_config if name.startswith("decoder")]
        assert len(decoder) == 4
    del golden_config["transformers_version"]
    for name, value in golden_config.items():
        if kind == "pretrainer" or not name.startswith("decoder"):
            assert config[name] == value, name


def test_pictures_that_are_no_squares(tmp_path):
    """Files without a kind of their own for sizes tell them as a list; what is loaded computes the same."""
    model = build("pretrainer", image_size=(16, 32))
    videos = np.random.default_rng(0).integers(0, 256, (1, *model.architecture.video_shape), np.uint8)
    is_masked = np.arange(16)[None] % 4 != 0
    for format in ("huggingface", "pytorch", "keras"):
        path = tmp_path / NAMES[format]
        save_checkpoint(model, path, format)
        assert read_weights(path).architecture().image_size == (16, 32)
        again = build("pretrainer", image_size=(16, 32))
        assert load_checkpoint(path, again).interpolated == ()
        np.testing.assert_allclose(again(videos, is_masked), model(videos, is_masked), atol=1e-4)
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["image_size"] == [16, 32]
    with pytest.raises(ValueError, match="height 16, width 32, channels 3"):
        model(videos.swapaxes(2, 3), is_masked)


def text(name):
    return name.decode() if isinstance(name, bytes) else name


@pytest.mark.parametrize("kind", KINDS)
def test_keras_h5_has_the_groups_and_the_order_of_the_release(models, kind, tmp_path):
    save_checkpoint(models[kind], tmp_path / "x.h5", "keras_h5")
    rows = keras_names(pytorch_state(golden(kind)[1]), kind)
    groups = {group for group, _, _ in rows}
    with h5py.File(tmp_path / "x.h5") as file:
        listed = {text(name) for name in file.attrs["layer_names"]}
        assert groups - {"top_level_model_weights"} <= listed
        assert listed - groups <= {"fc_dropout"}
        for group in groups:
            names = [text(name) for name in file[group].attrs["weight_names"]]
            expected = [array for owner, name, array in rows if owner == group and name]
            assert len(set(names)) == len(names) == len(expected)
            for name, array in zip(names, expected, strict=True):
                np.testing.assert_array_equal(file[group][name][()], array, err_msg=name)


def test_a_served_classifier_needs_nothing_of_this_package(models, tmp_path):
    save_checkpoint(models["classifier"], tmp_path / "saved", "savedmodel", LABELS)
    videos = np.random.default_rng(0).integers(0, 256, (3, 4, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "videos.npy", videos)
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        "served = tf.saved_model.load('saved')\n"
        "out = served.signatures['serving_default'](videos=tf.constant(np.load('videos.npy')))\n"
        "np.save('probabilities.npy', out['probabilities'].numpy())\n"
        "assert 'mae' not in sys.modules\n"
        "print(*[label.decode() for label in out['labels'].numpy()])\n"
        "print(*[name.decode() for name in served.signatures['class_names']()['names'].numpy()])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    normalised = (videos / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    expected = tf.nn.softmax(models["classifier"](normalised.astype("float32"))).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy"), expected, atol=1e-5)
    labels, names = done.stdout.splitlines()
    assert labels.split() == [LABELS[i] for i in expected.argmax(axis=1)]
    assert names.split() == list(LABELS.values())
    report = load_checkpoint(tmp_path / "saved", build("classifier"))
    assert report.id2label == LABELS


def test_a_served_encoder_gives_features(models, tmp_path):
    save_checkpoint(models["pretrainer"], tmp_path / "saved", "savedmodel")
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    assert served(videos=tf.zeros((2, 4, 32, 32, 3), tf.uint8))["features"].shape == (2, 32, 24)


@pytest.mark.parametrize("format", ["pytorch", "keras_h5"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_unusual_position_table_travels_along(format, kind, tmp_path):
    model = build(kind, positions="sincos_factorised")
    save_checkpoint(model, tmp_path / NAMES[format], format)
    other = build(kind, positions="sincos_factorised")
    load_checkpoint(tmp_path / NAMES[format], other)
    assert_same(other, model)
    usual = build(kind)
    assert "is the file's own; it is kept" in load_checkpoint(tmp_path / NAMES[format], usual).table()
    assert_same(usual, model)
    with pytest.raises(ConfigError, match="positions=sincos only"):
        save_checkpoint(model, tmp_path / "hf", "huggingface")
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_an_existing_output_is_never_touched(models, format, tmp_path):
    path = tmp_path / NAMES[format]
    path.write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        save_checkpoint(models["classifier"], path, format)
    assert path.read_text() == "mine"


def by_onnx(path, videos):
    """The outputs by their names, and what the file says of the model."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"videos": videos}), strict=True)), told


def test_onnx_of_a_classifier_resizes_and_takes_any_batch(models, tmp_path):
    model, training = models["classifier"], Training(licence="CC-BY-NC-4.0", resize="letterbox")
    save_checkpoint(model, tmp_path / "x.onnx", "onnx", LABELS, training, video_size=(40, 52))
    for batch in (1, 3):
        videos = np.random.default_rng(batch).integers(0, 256, (batch, 4, 40, 52, 3), dtype=np.uint8)
        made, told = by_onnx(tmp_path / "x.onnx", videos)
        logits = model(VideoPreprocessor(32, resize="letterbox")(videos))
        assert list(made) == ["probabilities"]
        np.testing.assert_allclose(made["probabilities"], ops.convert_to_numpy(ops.softmax(logits)), atol=1e-5)
    assert told["licence"] == "CC-BY-NC-4.0"
    assert json.loads(told[KEY])["id2label"] == {str(number): name for number, name in LABELS.items()}


def test_onnx_of_what_was_pre_trained_is_its_encoder(models, tmp_path):
    model = models["pretrainer"]
    save_checkpoint(model, tmp_path / "x.onnx", "onnx")
    videos = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), dtype=np.uint8)
    features = model.encoder(patchify(normalise(videos, 3), model.architecture.tubelet))
    made, _ = by_onnx(tmp_path / "x.onnx", videos)
    np.testing.assert_allclose(made["features"], ops.convert_to_numpy(features), atol=1e-4)


def test_a_folder_has_a_card_that_tells_what_is_known(models, tmp_path):
    training = Training(frame_stride=2, sampler="dense_stride", licence="CC-BY-NC-4.0")
    save_checkpoint(models["classifier"], tmp_path / "hf", "huggingface", LABELS, training)
    card = (tmp_path / "hf" / "README.md").read_text()
    assert card.startswith('---\nlicense: "CC-BY-NC-4.0"\n')
    for line in ("| frame_stride | 2 |", "| clip | 4 frames of 32 × 32 pixels, 3 channels |", f"| 0 | {LABELS[0]} |"):
        assert line in card
    assert "VideoMAEForVideoClassification" in card
    report = load_checkpoint(tmp_path / "hf", build("classifier"))
    assert report.training.licence == "CC-BY-NC-4.0"


@pytest.mark.parametrize(
    ("format", "size", "message"),
    [
        ("pytorch", (40, 52), "video_size= is for savedmodel and onnx: format=pytorch keeps weights"),
        ("savedmodel", (40, 0), r"video_size=\[40, 0\] must be two numbers from 1"),
    ],
)
def test_sizes_of_frames_that_mean_nothing(format, size, message, models, tmp_path):
    with pytest.raises(ConfigError, match=message):
        save_checkpoint(models["classifier"], tmp_path / "x", format, video_size=size)


def test_a_failure_leaves_nothing_on_disk(models, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("mae.checkpoints.save.make_config", fail)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(models["classifier"], tmp_path / "hf", "huggingface")
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_named(models, tmp_path):
    classifier = models["classifier"]
    with pytest.raises(ConfigError, match="format 'hugging_face' does not exist; did you mean 'huggingface'"):
        save_checkpoint(classifier, tmp_path / "x", "hugging_face")
    with pytest.raises(ConfigError, match="2 label names for 5 classes"):
        save_checkpoint(classifier, tmp_path / "x", "huggingface", {0: "a", 1: "b"})
    with pytest.raises(ConfigError, match="no classes"):
        save_checkpoint(models["pretrainer"], tmp_path / "x", "huggingface", LABELS)
    with pytest.raises(ConfigError, match=r"ends in .keras"):
        save_checkpoint(classifier, tmp_path / "x", "keras")
    with pytest.raises(ConfigError, match="there is no folder"):
        save_checkpoint(classifier, tmp_path / "no" / "x", "pytorch")
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_this_project_is_a_checkpoint_too(models, tmp_path):
    model = models["pretrainer"]
    optimizer = build_optimizer(model, 1e-3)
    meta = {"step": 7, "config": {}, "architecture": asdict(model.architecture)}
    state = variables_to_arrays([*model.variables, *optimizer.variables])
    Checkpoints(tmp_path / "run" / "checkpoints", keep=1).save(state, meta)
    other = build("pretrainer")
    report = load_checkpoint(tmp_path / "run", other)
    assert report.format == "run of this project"
    assert "left aside" in report.table()
    assert_same(other, model)
    classifier = build("classifier")
    assert load_checkpoint(tmp_path / "run", classifier).fresh_head
    np.testing.assert_array_equal(classifier.encoder.patch_embed.kernel, model.encoder.patch_embed.kernel)


def test_a_file_with_our_own_names_is_explained_in_no_others(models, tmp_path):
    save_checkpoint(models["classifier"], tmp_path / "x.keras", "keras")
    with pytest.raises(ConfigError, match=r"\(Keras, classifier\).* missing: encoder/block_2/") as error:
        load_checkpoint(tmp_path / "x.keras", build("classifier", depth=3))
    assert "TFAttention" not in str(error.value)
