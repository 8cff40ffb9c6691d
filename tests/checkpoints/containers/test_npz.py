"""`.npz` files: NumPy's own, and headers that are something else."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mae.checkpoints.containers.npz import read_npz
from mae.errors import ConfigError

ARRAYS = {
    "kernel": np.arange(6, dtype="f4").reshape(2, 3),
    "a/fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "scalar": np.array(7),
    "empty": np.zeros((0, 3), "f2"),
    "big": np.array([1, 2], ">i8"),
    "flags": np.array([True, False]),
    "long": np.zeros((1,) * 20, "c8"),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_of_numpy(save: object, tmp_path: Path) -> None:
    save(tmp_path / "x.npz", **ARRAYS)  # type: ignore[operator]
    read = read_npz(tmp_path / "x.npz")
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array, strict=True)
        assert read[name].flags.writeable


def member(header: bytes, data: bytes = b"", version: bytes = b"\1\0") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\1\0" else "<I", len(header)) + header + data


def header(descr: str = "'<f4'", shape: str = "(2,)", order: str = "False") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}   \n".encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (member(b"(" * 9000), r"has the header b'\(\(\(.*\(9000 long\); it may hold"),
        (member(header("'|O'"), b"x" * 16), "has the header"),
        (member(header("[('a', '<f4')]"), b"x" * 8), "has the header"),
        (member(header("'<V8'"), b"x" * 16), "has the header"),
        (member(header(shape="(-2,)"), b"x" * 8), "has the header"),
        (member(header(shape="(2 ** 9,)"), b"x" * 8), "has the header"),
        (member(header(shape="(" + "9" * 400 + ",)"), b"x" * 8), "has the header"),
        (member(header(shape="(1000000000000, 1000000000000)"), b"x" * 8), "has 8 bytes for the shape"),
        (member(header(shape="(" + "1, " * 40 + ")"), b"x" * 4), "has 4 bytes for the shape"),
        (member(header(shape="(3,)"), b"x" * 8), r"has 8 bytes for the shape \(3,\)"),
        (member(header(), b"x" * 9), r"has 9 bytes for the shape \(2,\)"),
        (member(header("'<f5'"), b"x" * 10), "has the header"),
        (b"\x93NUMPY\1\0\xff\xff", "has the header"),
        (b"\x93NUMPZ" + member(header(), b"x" * 8)[6:], "has the header"),
        (b"", "has the header"),
    ],
)
def test_headers_that_lie(content: bytes, message: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("kernel.npy", content)
    with pytest.raises(ConfigError, match=message) as refused:
        read_npz(tmp_path / "x.npz")
    assert "kernel.npy" in str(refused.value)


def test_a_second_version_of_the_header(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("kernel.npy", member(header(), np.array([1, 2], "<f4").tobytes(), b"\2\0"))
    np.testing.assert_array_equal(read_npz(tmp_path / "x.npz")["kernel"], np.array([1, 2], "f4"), strict=True)
