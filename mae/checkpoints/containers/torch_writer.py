"""Files in PyTorch's zip layout, written without PyTorch.

The pickle is put together opcode by opcode, since `pickle` writes only names it can import. The result is what
`torch.load(weights_only=True)` accepts: tensors, dicts, lists, tuples and plain values.
"""

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints.containers.torch_pickle import STORAGES
from mae.errors import ConfigError
from mae.files import replacing

_STORAGE_OF = {dtype: storage for storage, dtype in STORAGES.items()}
_ROOT = "archive"
_ALIGNMENT = 64  # bytes; PyTorch can then map the file into memory
_LOCAL_HEADER = 30  # bytes of a zip member's header before its name
_DATE = (1980, 1, 1, 0, 0, 0)  # fixed: equal weights give equal files


def write_torch(path: str | Path, tree: Any) -> None:
    """Writes nested dicts, lists and tuples of NumPy arrays and plain values for `torch.load(weights_only=True)`.

    Arrays become contiguous CPU tensors of their own type (float16/32/64, bfloat16 of `ml_dtypes`, integers, bool,
    complex); `OrderedDict` stays one, other mappings become dicts, NumPy scalars become Python numbers. The file
    takes the place of an earlier one only when it is complete.

    Raises:
        ConfigError: a value of any other type, with the place where it stands.
    """
    pickler = _Pickler()
    body = pickle.PROTO + b"\x02" + pickler.encode(tree, "") + pickle.STOP
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, f"{_ROOT}/data.pkl", body)
        _add(archive, f"{_ROOT}/byteorder", b"little")
        for key, array in enumerate(pickler.arrays):
            data = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(-1)
            _add(archive, f"{_ROOT}/data/{key}", data.view(np.uint8).data)
        _add(archive, f"{_ROOT}/version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    """Adds a stored member whose bytes start at a multiple of `_ALIGNMENT`."""
    member = zipfile.ZipInfo(name, _DATE)
    member.file_size = len(data)
    assert archive.fp is not None
    zip64 = 20 if len(data) * 1.05 > zipfile.ZIP64_LIMIT else 0  # what `zipfile` appends for sizes over 32 bits
    start = archive.fp.tell() + _LOCAL_HEADER + len(name.encode()) + zip64 + 4
    padding = -start % _ALIGNMENT
    member.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    with archive.open(member, "w") as target:
        target.write(data)


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


_ORDERED_DICT = _global("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE


class _Pickler:
    """Encodes a tree; gathers its arrays, whose place in `arrays` is their storage's key."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []

    def encode(self, value: Any, place: str) -> bytes:
        """The opcodes that leave `value` on the stack; `place` names it in errors."""
        if isinstance(value, np.ndarray):
            return self._tensor(value, place)
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, Mapping):
            start = _ORDERED_DICT if isinstance(value, OrderedDict) else pickle.EMPTY_DICT
            items = (
                self._key(key, place) + self.encode(item, f"{place}.{key}" if place else str(key))
                for key, item in value.items()
            )
            return start + pickle.MARK + b"".join(items) + pickle.SETITEMS
        if isinstance(value, tuple):
            return pickle.MARK + self._items(value, place) + pickle.TUPLE
        if isinstance(value, list):
            return pickle.EMPTY_LIST + pickle.MARK + self._items(value, place) + pickle.APPENDS
        return _plain(value, place)

    def _items(self, values: list | tuple, place: str) -> bytes:
        return b"".join(self.encode(value, f"{place}[{index}]") for index, value in enumerate(values))

    def _key(self, key: Any, place: str) -> bytes:
        if type(key) not in (str, int):
            raise ConfigError(f"cannot write the key {key!r} in {place or 'the file'}; expected text or an int")
        return _plain(key, place)

    def _tensor(self, array: np.ndarray, place: str) -> bytes:
        if array.dtype.name not in _STORAGE_OF:
            raise ConfigError(
                f"cannot write {place or 'the file'}: an array of {array.dtype}; expected {', '.join(_STORAGE_OF)}"
            )
        key = str(len(self.arrays))
        self.arrays.append(array)
        strides = [int(np.prod(array.shape[axis + 1 :], dtype=np.int64)) for axis in range(array.ndim)]
        storage = (
            pickle.MARK + _plain("storage", place) + _global("torch", _STORAGE_OF[array.dtype.name])
            + _plain(key, place) + _plain("cpu", place) + _plain(array.size, place) + pickle.TUPLE + pickle.BINPERSID
        )  # fmt: skip
        return (
            _global("torch._utils", "_rebuild_tensor_v2") + pickle.MARK + storage + _plain(0, place)
            + self.encode(array.shape, place) + self.encode(tuple(strides), place) + pickle.NEWFALSE + _ORDERED_DICT
            + pickle.TUPLE + pickle.REDUCE
        )  # fmt: skip


def _plain(value: Any, place: str) -> bytes:
    """The opcodes of None, a bool, a number or text."""
    if value is None:
        return pickle.NONE
    if type(value) is bool:
        return pickle.NEWTRUE if value else pickle.NEWFALSE
    if type(value) is int:
        if -(2**31) <= value < 2**31:
            return pickle.BININT + struct.pack("<i", value)
        long = pickle.encode_long(value)
        return pickle.LONG1 + bytes([len(long)]) + long
    if type(value) is float:
        return pickle.BINFLOAT + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        return pickle.BINUNICODE + struct.pack("<I", len(text)) + text
    raise ConfigError(
        f"cannot write {place or 'the file'}: a {type(value).__name__}; expected arrays, dicts, lists, tuples, "
        "numbers, text or None"
    )
