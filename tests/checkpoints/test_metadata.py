"""What a run knows of its model is known of every file that it is converted to."""

import json
from dataclasses import asdict

import h5py
import keras
import numpy as np
import pytest
from released_files import write
from tiny import SIZES, tiny_pretrainer, videos

from mae.checkpoints.containers.torch_zip import read_torch, write_torch
from mae.checkpoints.metadata import KEY, Metadata, Training, metadata_from, training_of_run
from mae.checkpoints.read import read_weights
from mae.checkpoints.run_state import Checkpoints, variables_to_arrays
from mae.checkpoints.save import save_checkpoint
from mae.convert import run as convert
from mae.errors import ConfigError
from mae.evaluation.features import encode
from mae.evaluation.trained import load_classifier, load_encoder
from mae.models.classifier import build_classifier
from mae.presets import Architecture

FILES = {"huggingface": "hf", "pytorch": "x.pth", "keras_h5": "x.h5", "keras": "x.keras", "savedmodel": "saved"}
NAMES = {0: "öffnen", 1: "close", 2: "push"}
CONFIG = {"dataset": {"frame_stride": 3}, "data": {"sampler": "tsn_segments"}}
PRETRAINING = {"target": "difference", "target_scale": "patch", "target_pixels": 0.25, "loss_weight": "motion"}
PRETRAINING |= {"masking": "random", "mask_ratio": 0.6, "mask_motion": "hide", "mask_motion_share": 0.25}


def write_run(folder, kind, positions):
    """A run directory of a model that no preset has; returns the model."""
    if kind == "pretrainer":
        model, told = tiny_pretrainer(positions=positions), {"config": {**CONFIG, **PRETRAINING}}
        told["fixed_batch"] = {"digest": "5a" * 32, "loss": 0.25, "step": 9}
    else:
        model = build_classifier("vit_tiny", num_classes=3, **{**SIZES, "positions": positions})
        for i, variable in enumerate(model.trainable_variables):
            variable.assign(np.random.default_rng(i).normal(0.1, 0.3, variable.shape))
        told = {"config": CONFIG, "id2label": {str(number): name for number, name in NAMES.items()}}
    meta = {"step": 9, "architecture": asdict(model.architecture), "licence": "CC-BY-NC-4.0", **told}
    Checkpoints(folder / "checkpoints", keep=1).save(variables_to_arrays(model.variables), meta)
    return model


@pytest.mark.parametrize("kind", ["pretrainer", "classifier"])
@pytest.mark.parametrize("to", FILES)
def test_a_converted_run_is_described_and_used_as_the_run(to, kind, tmp_path):
    positions = "sincos" if to == "huggingface" else "sincos_factorised"
    model = write_run(tmp_path / "run", kind, positions)
    path = tmp_path / FILES[to]
    convert([str(tmp_path / "run"), str(path), f"to={to}"])

    rows = dict(
        line.split(maxsplit=1) for line in convert([str(path), "describe=true"]).splitlines() if len(line.split()) > 1
    )
    told = {"image_size": "16", "num_frames": "4", "num_heads": "2", "positions": positions, "frame_stride": "3"}
    told |= {"sampler": "tsn_segments", "step": "9", "licence": "CC-BY-NC-4.0"}
    if kind == "pretrainer":
        told |= {"target": "difference", "target_scale": "patch", "target_pixels": "0.25", "loss_weight": "motion"}
        told |= {"mask_motion": "hide", "mask_motion_share": "0.25"}
        told |= {"masking": "random", "mask_ratio": "0.6", "decoder_num_heads": "2"}
        told |= {"fixed_batch": "5a" * 32, "fixed_batch_loss": "0.25"}
    assert {name: rows[name] for name in told} == told

    trained = load_encoder(path, None, "float32", {})
    clips = "4 frames, one of each segment (sampler segments), 16×16"
    assert trained.description == f"{path}: {clips}"
    assert (trained.frame_stride, trained.model.architecture.positions) == (3, positions)
    expected = np.asarray(encode(model, videos()))
    np.testing.assert_allclose(np.asarray(encode(trained.model, videos())), expected, rtol=0, atol=1e-5)
    if kind == "classifier":
        assert load_classifier(path, None, None, "float32", {}).class_names == ("öffnen", "close", "push")


def test_a_loss_is_told_of_the_weights_that_have_it():
    """The fixed batch was looked at after step 6: what it lost then says nothing of the weights of step 9."""
    meta = {"fixed_batch": {"digest": "5a" * 32, "loss": 0.25, "step": 6}}
    assert training_of_run({**meta, "step": 6}, "file") == Training(
        step=6, fixed_batch="5a" * 32, fixed_batch_loss=0.25
    )
    assert training_of_run({**meta, "step": 9}, "file") == Training(step=9)


def test_settings_that_change_nothing_are_not_told():
    """A file says no more than earlier versions know, so that they read it."""
    config = {"target": "pixels", "target_scale": "clip", "target_pixels": 0.0, "loss_weight": "none"}
    config |= {"mask_motion": "none", "mask_motion_share": 0.5}
    config |= {"data": {"channels": "rgb", "window": None, "resize": "crop"}}
    assert training_of_run({"config": config}, "file") == Training(target="pixels")
    config["data"]["resize"] = "stretch"
    assert training_of_run({"config": config}, "file") == Training(target="pixels", resize="stretch")


def test_thousands_of_names_have_room_in_hdf5(tmp_path):
    model = build_classifier("vit_tiny", num_classes=5000, **SIZES)
    names = {number: f"a class with a name of some length, number {number}" for number in range(5000)}
    save_checkpoint(model, tmp_path / "x.h5", "keras_h5", names)
    assert read_weights(tmp_path / "x.h5").id2label == names
    with h5py.File(tmp_path / "x.h5") as file:
        assert max(np.asarray(value).nbytes for value in file.attrs.values()) <= 64512


def test_others_find_in_our_files_what_they_look_for(tmp_path):
    """The state dict under `model`; and Keras' own loader, which leaves the note in its zip alone."""
    model = tiny_pretrainer()
    save_checkpoint(model, tmp_path / "x.pth", "pytorch")
    assert all(isinstance(tensor, np.ndarray) for tensor in read_torch(tmp_path / "x.pth")["model"].values())
    save_checkpoint(model, tmp_path / "x.keras", "keras")
    again = keras.saving.load_model(tmp_path / "x.keras", compile=False)
    np.testing.assert_array_equal(again.encoder.patch_embed.kernel, model.encoder.patch_embed.kernel)


def test_what_was_trained_further_with_transformers_is_what_its_config_says(tmp_path):
    """transformers keeps keys that it does not know, whatever is done to the model."""
    write_run(tmp_path / "run", "pretrainer", "sincos")
    convert([str(tmp_path / "run"), str(tmp_path / "hf"), "to=huggingface"])
    path = tmp_path / "hf" / "config.json"
    config = json.loads(path.read_text())
    assert config["norm_pix_loss"] is True
    path.write_text(json.dumps(config | {"num_frames": 8, "norm_pix_loss": False}))
    weights = read_weights(tmp_path / "hf")
    assert (weights.told["num_frames"], weights.told["image_size"]) == (8, 16)
    assert (weights.training.target, weights.training.frame_stride) == ("pixels", 3)


@pytest.mark.parametrize(("card", "licence"), [("---\nlicense: cc-by-nc-4.0\ntags: [x]\n---\n# V\n", "cc-by-nc-4.0"),
                                               ("# license: none\n", None)])  # fmt: skip
def test_the_licence_on_a_hugging_face_card_is_carried(card, licence, tmp_path):
    path = write("E5", "pretrainer", tmp_path)
    (path / "README.md").write_text(card)
    assert read_weights(path).training.licence == licence
    convert([str(path), str(tmp_path / "x.h5"), "to=keras_h5"])
    assert read_weights(tmp_path / "x.h5").training.licence == licence


@pytest.mark.parametrize("format", ["A", "B", "C", "D"])
def test_released_files_tell_nothing(format, tmp_path):
    weights = read_weights(write(format, "pretrainer", tmp_path))
    assert weights.training == Training()
    assert {"num_frames", "image_size", "positions", "layer_norm_epsilon"} <= set(weights.assumed)
    assert weights.training.completed() == Training(4, "dense_stride", "videomae", "tube", 0.9)


def test_a_task_is_told_where_it_is_not_the_usual_one(tmp_path):
    told = Metadata(Architecture(), task="regression").as_dict()
    assert metadata_from(told, tmp_path).task == "regression"
    assert "task" not in Metadata(Architecture()).as_dict()
    with pytest.raises(ConfigError, match="task 'regresion' does not exist; did you mean 'regression'"):
        metadata_from({**told, "task": "regresion"}, tmp_path)


def test_damaged_notes_are_told(tmp_path):
    told = Metadata(Architecture(), Training(frame_stride=2)).as_dict()
    assert metadata_from(json.dumps(told), tmp_path) == Metadata(Architecture(), Training(frame_stride=2))
    assert told["normalisation"] == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    with pytest.raises(ConfigError, match=r"normalised by .*0\.5.*, and its architecture by mean \[0\.485"):
        metadata_from(told | {"normalisation": {"mean": [0.5] * 3, "std": [0.5] * 3}}, tmp_path)
    for wrong in ("{", {}, told | {"architecture": {"image_size": 30}}, told | {"training": {"sampler": "tsn"}},
                  told | {"training": {"colour": 1}}, told | {"id2label": ["a"]}):  # fmt: skip
        with pytest.raises(ConfigError, match="damaged or of a newer version"):
            metadata_from(wrong, tmp_path)
    write_torch(tmp_path / "x.pth", {"model": {"a": np.zeros(2)}, KEY: {"architecture": 3}})
    with pytest.raises(ConfigError, match=r"x\.pth: what it says of its model is damaged"):
        read_weights(tmp_path / "x.pth")
