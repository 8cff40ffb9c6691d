"""safetensors: a file of PyTorch, round trips and damage."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open

from mae.checkpoints.containers.safetensors_file import read_safetensors, write_safetensors
from mae.errors import ConfigError

FILE = Path(__file__).parent / "files" / "model.safetensors"


def test_a_file_of_pytorch() -> None:
    arrays = read_safetensors(FILE)
    np.testing.assert_array_equal(arrays["a"], np.arange(6, dtype=np.float32).reshape(2, 3), strict=True)
    np.testing.assert_array_equal(arrays["b"], np.array([1, -2.5], np.float32), strict=True)


def test_round_trip(tmp_path: Path) -> None:
    arrays = {
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "strided": np.arange(6)[::2],
        "scalar": np.array(2.5, np.float16),
        "big": np.array([1, 2], ">f8"),
        "empty": np.zeros((0, 3), np.float32),
    }
    path = tmp_path / "model.safetensors"
    write_safetensors(path, arrays | {"half": np.array([1.5], ml_dtypes.bfloat16)}, {"format": "pt"})
    read = read_safetensors(path)
    assert read.pop("half").tolist() == [1.5]
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert (read[name].shape, read[name].dtype.name) == (array.shape, array.dtype.name)
    with safe_open(path, "np") as file:
        assert file.metadata() == {"format": "pt"}
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(ConfigError, match="cannot write a: an array of object"):
        write_safetensors(path, {"a": np.array([None])})
    with pytest.raises(ConfigError, match="text by text"):
        write_safetensors(path, {}, {"epoch": 3})  # type: ignore[dict-item]
    assert not list(tmp_path.iterdir())


def test_damage(tmp_path: Path) -> None:
    path, whole = tmp_path / "model.safetensors", FILE.read_bytes()
    with pytest.raises(ConfigError, match="no file at"):
        read_safetensors(path)
    for damaged in [whole[:kept] for kept in range(0, len(whole), 9)] + [whole + b"x", b"\xff" * 20, b"{" + whole]:
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"is damaged|is not valid JSON|header entry"):
            read_safetensors(path)
    path.write_bytes(whole.replace(b"F32", b"F99"))
    with pytest.raises(ConfigError, match=r"is damaged|is not valid JSON|header entry"):
        read_safetensors(path)
    path.write_bytes(whole.replace(b"[2,3]", b"[2,4]"))
    with pytest.raises(ConfigError, match=r"is damaged|is not valid JSON|header entry"):
        read_safetensors(path)
