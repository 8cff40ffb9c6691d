"""Kinds of checkpoints, told by content under names that say nothing."""

import json
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mae.checkpoints.containers.identify import FORMATS, identify
from mae.checkpoints.containers.keras_h5 import write_keras_h5
from mae.checkpoints.containers.safetensors_file import write_safetensors
from mae.checkpoints.containers.torch_zip import write_torch
from mae.checkpoints.run_state import Checkpoints
from mae.errors import ConfigError

FILES = Path(__file__).parent / "files"


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return path


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_keras_h5(path, {"head": [("kernel:0", np.ones(2))]})
    assert identify(path) == "keras_h5"
    write_torch(path, {})
    assert identify(path) == "pytorch"
    shutil.copy(FILES / "zip.pth", path)
    assert identify(path) == "pytorch"
    shutil.copy(FILES / "legacy.pth", path)
    assert identify(path) == "pytorch"
    write_safetensors(path, {"a": np.ones(2)})
    assert identify(path) == "huggingface"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
    assert identify((tmp_path / "model.keras").rename(path)) == "keras"


@pytest.mark.parametrize("folder", ["", "model/", "release/model/"])
def test_zip_of_a_saved_model(folder: str, tmp_path: Path) -> None:
    names = [f"{folder}{name}" for name in ("saved_model.pb", "keras_metadata.pb", "variables/variables.index")]
    assert identify(zipped(tmp_path / "model", *names)) == "zip_saved_model"


def test_folders(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    tf.saved_model.save(tf.Module(), saved)
    assert identify(saved) == "saved_model"
    hugging = tmp_path / "hugging"
    hugging.mkdir()
    write_safetensors(hugging / "model.safetensors", {"a": np.ones(2)})
    with pytest.raises(ConfigError, match=r"a folder with model\.safetensors, no checkpoint that is known"):
        identify(hugging)
    (hugging / "config.json").write_text(json.dumps({}))
    assert identify(hugging) == "huggingface"
    (hugging / "model.safetensors").rename(hugging / "pytorch_model.bin")
    assert identify(hugging) == "huggingface"


def test_runs(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path / "run" / "checkpoints", keep=1).save({"a": np.ones(2)}, {"step": 3})
    assert {identify(place) for place in (path, path.parent, tmp_path / "run")} == {"run"}


def test_tensorflow_checkpoints(tmp_path: Path) -> None:
    prefix = Path(tf.train.Checkpoint(kernel=tf.Variable([1.0])).write(str(tmp_path / "model")))
    names = [prefix, tmp_path, *tmp_path.glob("model.*")]
    assert len(names) == 4
    assert {identify(name) for name in names} == {"tf_checkpoint"}
    (tmp_path / "model.index").write_bytes(b"something else")
    with pytest.raises(ConfigError, match="no checkpoint at"):
        identify(prefix)


def test_unknown(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    with pytest.raises(ConfigError, match=r"no checkpoint at .*model\.pth: no such file or folder"):
        identify(path)
    path.write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(ConfigError, match="starts with b'<!DOCTYPE html>'") as caught:
        identify(path)
    assert all(name in str(caught.value) for name in FORMATS)
    path.write_bytes(b"")
    with pytest.raises(ConfigError, match="an empty file"):
        identify(path)
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    with pytest.raises(ConfigError, match=r"a zip with a\.npy"):
        identify(tmp_path / "other.npz")
    with pytest.raises(ConfigError, match=r"a zip with one/saved_model\.pb, two/saved_model\.pb"):
        identify(zipped(path, "one/saved_model.pb", "two/saved_model.pb"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="a folder with nothing"):
        identify(tmp_path / "empty")


def test_damaged(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(zipped(path, "saved_model.pb").read_bytes()[:-9])
    with pytest.raises(ConfigError, match="damaged or no zip"):
        identify(path)
