"""`.npz` files: a zip of arrays, each with a header that is a Python literal, which NumPy has Python's parser read.

Here a header must be what NumPy writes, letter for letter; a pickled object is not read at all.
"""

import math
import re
import zipfile
from collections.abc import Container
from pathlib import Path

import numpy as np

from mae.checkpoints.containers.zip_guard import open_zip, read_member
from mae.checkpoints.schema import check_count, check_name
from mae.errors import ConfigError, shown

_HEADER = re.compile(
    rb"\{'descr': '([<>|](?:b1|[iu][1248]|f[248]|c8|c16))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,19}, ?)*(?:\d{1,19})?)\),? *\} *\n"
)
_MAGIC = re.compile(rb"\x93NUMPY[\x01-\x03]\x00")
_MAX_HEADER = 10_000  # bytes
_MAX_AXES = 32


def read_npz(path: str | Path, only: Container[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a file by name, every checksum verified.

    Args:
        only: the names of those to read; None: all of them.

    Raises:
        ConfigError: missing, damaged, or with anything but plain arrays of numbers.
    """
    with open_zip(path) as archive:
        members = archive.infolist()
        check_count(path, len(members))
        named = {check_name(path, member.filename.removesuffix(".npy")): member for member in members}
        return {name: _array(path, archive, member) for name, member in named.items() if only is None or name in only}


def _array(path: str | Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    octets = read_member(archive, member)
    start = octets[: _MAX_HEADER + 12].tobytes()
    size = 2 if start[6:7] == b"\x01" else 4  # of the number that is the length of the header
    length = int.from_bytes(start[8 : 8 + size], "little")
    header = start[8 + size : 8 + size + length]
    match = _HEADER.fullmatch(header) if _MAGIC.match(start) else None
    if match is None:
        raise ConfigError(
            f"{path}: {member.filename} has the header {shown(header)}; it may hold type, order and shape of a plain "
            "array of numbers, as NumPy writes them"
        )
    stored = np.dtype(match[1].decode())
    shape = tuple(int(axis) for axis in match[3].replace(b",", b" ").split())
    values = octets[8 + size + length :]
    if len(shape) > _MAX_AXES or math.prod(shape) * stored.itemsize != values.size:
        raise ConfigError(f"{path}: {member.filename} has {values.size} bytes for the shape {shape} of {stored}")
    return values.view(stored).reshape(shape, order="F" if match[2] == b"True" else "C")
