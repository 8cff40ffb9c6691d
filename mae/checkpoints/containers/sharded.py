"""Models saved in several files, as transformers saves large ones: an index says which tensor is in which."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mae.checkpoints.schema import Rule, check, read_json, table
from mae.errors import ConfigError, shown

SAFETENSORS_INDEX = "model.safetensors.index.json"
TORCH_INDEX = "pytorch_model.bin.index.json"
_NO_NAME = re.compile(r"\.{0,2}|.*[/\\\0].*", re.DOTALL)  # of a file in the same folder
_FILE = Rule(
    "the name of a file beside it",
    lambda value: isinstance(value, str) and len(value) < 256 and not _NO_NAME.fullmatch(value),
)


def read_sharded(index: Path, read: Callable[[Path], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The tensors of all files that an index lists, in its order.

    Args:
        index: the JSON file beside them.
        read: gives the tensors of one of the files.

    Raises:
        ConfigError: no index, a file that is missing or outside the folder, or tensors that differ from the index.
    """
    places = _weight_map(index)
    arrays: dict[str, np.ndarray] = {}
    for name in sorted(set(places.values())):
        arrays.update(read(index.parent / name))
    different = sorted(places.keys() ^ arrays.keys())
    if different:
        raise ConfigError(f"{index} and its files differ in {len(different)} tensors, first {different[0]}")
    return {name: arrays[name] for name in places}


def _weight_map(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise ConfigError(f"no file at {path}")
    index = read_json(path)
    if "weight_map" not in index:
        raise ConfigError(f"{path} is damaged or no index of a model's files: it has no weight_map")
    places = check(path, "weight_map", index["weight_map"], table())
    for name, file in places.items():
        check(path, f"weight_map {shown(name)}", file, _FILE)
    return places
