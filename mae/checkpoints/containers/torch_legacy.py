"""The layout `torch.save` wrote before PyTorch 1.6: pickles and raw storages one after another.

In order: a magic number, the protocol (1001), a dict about the machine, the object, the list of storage keys (each of
these a pickle), and then for each key an int64 element count and the bytes. There is no checksum.
"""

import os
import struct
from typing import Any, BinaryIO

import numpy as np

from mae.checkpoints.containers.torch_pickle import DType, unpickle
from mae.errors import ConfigError, shown

_MAGIC = 0x1950A86A20F9469CFC6C
_START = b"\x8a\x0a" + _MAGIC.to_bytes(10, "little") + b"."  # after the two bytes of the pickle protocol
_PROTOCOL = 1001


def is_legacy(start: bytes) -> bool:
    """Whether the first bytes of a file are those of this layout."""
    return start[:1] == b"\x80" and start[2 : 2 + len(_START)] == _START


def read_legacy(file: BinaryIO) -> Any:
    """The object of an open file; see `read_torch`.

    The storages come after the object that needs them. So the object is read twice: first with storages of zeros that
    take no memory, to learn their types, and then, after the storages, for good.

    Raises:
        ConfigError: truncated or inconsistent, or not plain data.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    _, protocol, machine = (unpickle(file, _no_storage) for _ in range(3))
    if protocol != _PROTOCOL or not isinstance(machine, dict):
        raise ConfigError(f"it has the PyTorch protocol {shown(protocol)}; expected {_PROTOCOL}")
    big = machine.get("little_endian") is False
    start = file.tell()
    kinds: dict[str, tuple[DType, int]] = {}
    declared = 0

    def note(key: str, dtype: DType, count: int) -> np.ndarray:
        nonlocal declared
        kinds[key] = dtype, count
        declared += count * np.dtype(dtype.numpy).itemsize
        if declared > size:
            raise ConfigError(f"up to storage {shown(key)} it declares {declared} bytes, more than its {size}")
        return np.broadcast_to(np.zeros(1, dtype.numpy), (count,))

    unpickle(file, note)
    keys = unpickle(file, _no_storage)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(kinds):
        raise ConfigError("its list of storages does not match its tensors")
    storages = {key: _storage(file, key, *kinds[key], big) for key in keys}
    if rest := file.read(1):
        raise ConfigError(f"there are bytes after the last storage ({rest!r} …)")
    file.seek(start)
    return unpickle(file, lambda key, dtype, count: storages[key])


def _storage(file: BinaryIO, key: str, dtype: DType, count: int, big: bool) -> np.ndarray:
    """The next storage of the file, as bytes."""
    header = file.read(8)
    if len(header) < 8 or struct.unpack("<q", header)[0] != count:
        raise ConfigError(f"storage {key!r} is truncated or has another length than its tensors say ({count})")
    # As many bytes as declared were checked to fit into the file.
    raw = np.empty(count * np.dtype(dtype.numpy).itemsize, np.uint8)
    view, position = raw.data, 0
    while position < len(view):
        read = file.readinto(view[position:])  # type: ignore[attr-defined]
        if not read:
            raise ConfigError(f"it is truncated: storage {key!r} ends after {position} of {len(view)} bytes")
        position += read
    if big:
        raw.view(dtype.numpy).byteswap(inplace=True)
    return raw


def _no_storage(key: str, dtype: DType, count: int) -> np.ndarray:
    raise ConfigError(f"a tensor (storage {key!r}) where the file's header belongs")
