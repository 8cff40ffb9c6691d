"""safetensors files: a JSON header and raw tensors, without code and without checksums.

8 bytes give the length of the header; it maps names to type, shape and place behind it; then come the tensors.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from mae.checkpoints.containers.torch_pickle import widened
from mae.checkpoints.schema import (
    MAX_JSON,
    Rule,
    check,
    check_count,
    check_name,
    json_object,
    listing,
    table,
    whole,
)
from mae.errors import ConfigError
from mae.files import replacing

_TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64", "bfloat16")  # fmt: skip
_STORED = {
    "BOOL": "|b1", "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "U8": "|u1", "U16": "<u2", "U32": "<u4",
    "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2",
}  # fmt: skip


_DTYPE = Rule(f"one of {', '.join(_STORED)}", lambda value: isinstance(value, str) and value in _STORED)
_SHAPE = listing(whole(0, 1 << 62), most=32)
_OFFSETS = listing(whole(0, 1 << 62), most=2, least=2)


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a file in its order, of their own types except bfloat16, which becomes float32, exactly.

    Each is read into its array: the package maps the file, so that memory would hold every byte twice.

    Raises:
        ConfigError: missing, truncated, or no safetensors file. A changed byte within a tensor cannot be noticed.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no file at {path}")
    arrays: dict[str, np.ndarray] = {}
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size - 8:
            raise ConfigError(f"{path} is damaged or no safetensors file: its header would have {length} bytes")
        header = json_object(f"{path}: its header", file.read(min(length, MAX_JSON + 1)))
        for name, kind, shape, start in _placed(path, header, path.stat().st_size - 8 - length):
            file.seek(8 + length + start)
            # A file that is cut off meanwhile gives fewer values, which have no such shape.
            array = np.fromfile(file, _STORED[kind], math.prod(shape)).reshape(shape)
            arrays[name] = widened(array) if kind == "BF16" else array
    return arrays


def _placed(path: Path, header: dict[str, Any], size: int) -> Iterator[tuple[str, str, list[int], int]]:
    """Name, type, shape and first byte of each tensor in the order of the file, all checked before the first is given.

    Tensors are as long as their shapes say and lie one after the other, without gaps, to the end.
    """
    check_count(path, len(header))
    header.pop("__metadata__", None)
    placed = []
    for name, entry in header.items():
        field = f"header entry {check_name(path, name)!r}"
        check(path, field, entry, table())
        kind = check(path, f"{field} dtype", entry.get("dtype"), _DTYPE)
        shape = check(path, f"{field} shape", entry.get("shape"), _SHAPE)
        start, end = check(path, f"{field} data_offsets", entry.get("data_offsets"), _OFFSETS)
        if end - start != math.prod(shape) * np.dtype(_STORED[kind]).itemsize:
            raise ConfigError(f"{path}: {field} has {end - start} bytes for the shape {shape} of {kind}: damaged")
        placed.append((start, end, name, kind, shape))
    placed.sort(key=lambda place: place[:2])
    ends = [0, *(end for _, end, *_ in placed)]
    starts = [*(start for start, *_ in placed), size]
    if starts != ends:
        first = next(start for start, end in zip(starts, ends, strict=True) if start != end)
        raise ConfigError(f"{path} is damaged: its tensors leave a gap, overlap or end early, at byte {first}")
    for start, _, name, kind, shape in placed:
        yield name, kind, shape, start


def write_safetensors(
    path: str | Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes named arrays, with their types, and text about them; in place of an earlier file only when complete.

    Raises:
        ConfigError: an array of a type the format does not have, or metadata that is not text.
    """
    for name, array in arrays.items():
        if array.dtype.name not in _TYPES:
            raise ConfigError(f"cannot write {name}: an array of {array.dtype}; expected {', '.join(_TYPES)}")
    if metadata and not all(isinstance(text, str) for pair in metadata.items() for text in pair):
        raise ConfigError(f"safetensors metadata is text by text; got {dict(metadata)!r}")
    # The package writes the memory behind an array whatever its strides are.
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with replacing(path) as temporary:
        save_file(contiguous, temporary, metadata=dict(metadata) if metadata else None)
