"""`.keras` files, which Keras itself writes, and files that describe another model."""

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from tiny import tiny_pretrainer

from mae.checkpoints.containers.keras_archive import read_keras_archive
from mae.checkpoints.weights import model_variables
from mae.errors import ConfigError
from mae.models.classifier import build_classifier


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Any]:
    model = tiny_pretrainer(depth=3)
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras", model


def assert_read(path: Path, model: Any) -> None:
    arrays = read_keras_archive(path, "note").arrays
    expected = {name: variable.numpy() for name, variable in model_variables(model).items()}
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_what_keras_wrote(written: tuple[Path, Any]) -> None:
    path, model = written
    assert_read(path, model)
    read = read_keras_archive(path, "note")
    assert (read.architecture["depth"], read.note) == (3, None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("note", "ü")
    assert read_keras_archive(path, "note").note == "ü"


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_classifier_with_random_layers(pooling: str, tmp_path: Path) -> None:
    """Their generators of random numbers are no weights of the model."""
    sizes = {"image_size": 16, "patch_size": 8, "num_frames": 2, "depth": 2, "drop_path_rate": 0.1, "dropout_rate": 0.1}
    model = build_classifier("vit_micro", 3, head_dropout_rate=0.1, pooling=pooling, **sizes)
    model.save(tmp_path / "model.keras")
    assert_read(tmp_path / "model.keras", model)


def test_an_archive_that_was_compressed_later(written: tuple[Path, Any], tmp_path: Path) -> None:
    path, model = written
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert_read(tmp_path / "x", model)


def changed(path: Path, config: Any) -> Path:
    """The file with another `config.json`."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(path.with_name("changed.keras"), "w") as target:
        for name in source.namelist():
            told = config if isinstance(config, bytes) else json.dumps(config).encode()
            target.writestr(name, told if name == "config.json" else source.read(name))
    return path.with_name("changed.keras")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_name": "Sequential"}, "holds a Sequential, not a model of this project"),
        ({"module": "keras.layers"}, "not a model of this project"),
        ({"module": None}, "not a model of this project"),
        ({"class_name": ["Pretrainer"]}, "holds something, not a model of this project"),
        ({"config": None}, r"config\.json: config holds None; it may hold a table"),
        ({"config": {"architecture": [1]}}, "architecture holds a list of 1; it may hold a table"),
    ],
)
def test_another_model(change: dict[str, Any], message: str, written: tuple[Path, Any]) -> None:
    path, _ = written
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    with pytest.raises(ConfigError, match=message):
        read_keras_archive(changed(path, config | change), "note")


@pytest.mark.parametrize("config", [b"", b"[" * 100_000, b"[]", b"\xff", b"{" + b" " * (5 << 20) + b"}"])
def test_a_config_that_is_none(config: bytes, written: tuple[Path, Any]) -> None:
    with pytest.raises(ConfigError, match=r"config\.json"):
        read_keras_archive(changed(written[0], config), "note")


def test_a_model_of_keras_is_named_and_not_built(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
    with pytest.raises(ConfigError, match="holds a Sequential"):
        read_keras_archive(tmp_path / "model.keras", "note")


@pytest.mark.parametrize(
    "place", ["encoder/blocks/transformer_block/vars/0", "encoder/norm/vars/2", "x", "decoder/vars/1"]
)
def test_a_weight_too_many_is_named_or_left_over(place: str, written: tuple[Path, Any], tmp_path: Path) -> None:
    path, _ = written
    with zipfile.ZipFile(path) as archive:
        archive.extract("model.weights.h5", tmp_path)
    with h5py.File(tmp_path / "model.weights.h5", "a") as file:
        if place in file:
            del file[place]
        file[place] = np.ones(3)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "more.keras", "w") as target:
        target.writestr("config.json", source.read("config.json"))
        target.write(tmp_path / "model.weights.h5", "model.weights.h5")
    if place.endswith("block/vars/0"):  # what a layer of its own would have: the model has no place for it
        assert "encoder/blocks/transformer_block/kernel" in read_keras_archive(tmp_path / "more.keras", "note").arrays
        return
    with pytest.raises(ConfigError, match=rf"more\.keras: model\.weights\.h5: '{place}' is no weight of a model"):
        read_keras_archive(tmp_path / "more.keras", "note")
