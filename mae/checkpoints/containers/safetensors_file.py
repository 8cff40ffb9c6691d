"""safetensors files: a JSON header and raw tensors, without code and without checksums.

8 bytes give the length of the header; it maps names to type, shape and place behind it; then come the tensors.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mae.checkpoints.containers.torch_pickle import widened
from mae.errors import ConfigError
from mae.files import replacing

INDEX = "model.safetensors.index.json"
_TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64", "bfloat16")  # fmt: skip
_STORED = {
    "BOOL": "|b1", "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "U8": "|u1", "U16": "<u2", "U32": "<u4",
    "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2",
}  # fmt: skip


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a file in its order, of their own types except bfloat16, which becomes float32, exactly.

    Raises:
        ConfigError: missing, truncated, or no safetensors file. A changed byte within a tensor cannot be noticed.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no file at {path}")
    try:
        with safe_open(path, "np"):  # checks the header: tensors as long as their shapes say, without gaps, to the end
            pass
        return _read_tensors(path)
    # An unknown tensor type is a KeyError.
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged or no safetensors file ({error}); fetch it again") from error


def _read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Each tensor read into its array: the package maps the file, so that memory would hold every byte twice."""
    arrays: dict[str, np.ndarray] = {}
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            shape, kind = entry["shape"], entry["dtype"]
            file.seek(8 + length + entry["data_offsets"][0])
            array = np.fromfile(file, _STORED[kind], math.prod(shape)).reshape(shape)  # a short one has no such shape
            arrays[name] = widened(array) if kind == "BF16" else array
    return arrays


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


def read_sharded(folder: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a model saved in several files, which `model.safetensors.index.json` lists.

    Raises:
        ConfigError: no index, a file that is missing or outside the folder, or tensors that differ from the index.
    """
    folder = Path(folder)
    places = _weight_map(folder / INDEX)
    arrays: dict[str, np.ndarray] = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name:
            raise ConfigError(f"{folder / INDEX} lists {name!r}; expected a file beside it")
        arrays.update(read_safetensors(folder / name))
    different = sorted(places.keys() ^ arrays.keys())
    if different:
        raise ConfigError(f"{folder / INDEX} and its files differ in {len(different)} tensors, first {different[0]}")
    return {name: arrays[name] for name in places}


def _weight_map(path: Path) -> dict[str, str]:
    try:
        index: Any = json.loads(path.read_text(encoding="utf-8"))
        places = index["weight_map"]
    except FileNotFoundError as error:
        raise ConfigError(f"no file at {path}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged or no index of safetensors files ({error})") from error
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise ConfigError(f"{path}: weight_map is no table of file names")
    return places
