"""Models in several files, of safetensors or of PyTorch, and indices that are wrong."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mae.checkpoints.containers.safetensors_file import read_safetensors, write_safetensors
from mae.checkpoints.containers.sharded import read_sharded
from mae.checkpoints.containers.torch_zip import read_torch, write_torch
from mae.errors import ConfigError

FILE = Path(__file__).parent / "files" / "model.safetensors"
PLACES = {"c": "two", "a": "one", "b": "one"}


def index_of(folder: Path, content: Any) -> Path:
    path = folder / "index.json"
    path.write_text(json.dumps(content))
    return path


def test_tensors_come_in_the_order_of_the_index(tmp_path: Path) -> None:
    shutil.copy(FILE, tmp_path / "one")
    write_safetensors(tmp_path / "two", {"c": np.ones(2)})
    arrays = read_sharded(index_of(tmp_path, {"weight_map": PLACES}), read_safetensors)
    assert list(arrays) == ["c", "a", "b"]
    for name, tensors in (("one", read_safetensors(FILE)), ("two", {"c": np.ones(2)})):
        write_torch(tmp_path / name, tensors)
    again = read_sharded(tmp_path / "index.json", read_torch)
    assert list(again) == ["c", "a", "b"]
    np.testing.assert_array_equal(again["a"], arrays["a"], strict=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weight_map": PLACES | {"d": "two"}}, "differ in 1 tensors, first d"),
        ({"weight_map": PLACES | {"d": "three"}}, "no file at"),
        ({"weight_map": PLACES | {"d": "../two"}}, "it may hold the name of a file beside it"),
        ({"weight_map": PLACES | {"d": 3}}, "weight_map 'd' holds 3; it may hold the name of a file"),
        ({}, "damaged or no index"),
    ],
)
def test_an_index_that_is_wrong(content: Any, message: str, tmp_path: Path) -> None:
    shutil.copy(FILE, tmp_path / "one")
    write_safetensors(tmp_path / "two", {"c": np.ones(2)})
    with pytest.raises(ConfigError, match=message):
        read_sharded(index_of(tmp_path, content), read_safetensors)


def test_no_index(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file at"):
        read_sharded(tmp_path / "index.json", read_safetensors)
