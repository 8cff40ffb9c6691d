"""`.keras` files of this project's models, read without Keras, which builds whatever such a file describes.

The file is a zip: `config.json` names a class and what it is made with, `model.weights.h5` holds the weights. A
weight's place there is the path of its layer among the attributes of the model, `vars`, and its number within the
layer; blocks are counted by the name of their class: `encoder/blocks/transformer_block_1/mlp/fc1/vars/0`.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints.containers.hdf5 import read_hdf5
from mae.checkpoints.containers.zip_guard import open_zip, read_text
from mae.checkpoints.schema import MAX_JSON, check, json_object, table
from mae.errors import ConfigError
from mae.options import CLASSIFICATION

_CLASSES = ("Pretrainer", "Classifier", "VideoEncoder")  # of mae.models
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_BLOCK = re.compile(r"(encoder|decoder)/blocks/transformer_block(?:_(\d{1,4}))?/(.+)")
# The last layer on a weight's path -> what its weights are called, by number; `Dense` where it is none of these.
_VARIABLES = {
    "norm": ("gamma", "beta"), "norm1": ("gamma", "beta"), "norm2": ("gamma", "beta"), "fc_norm": ("gamma", "beta"),
    "attention": ("q_bias", "v_bias"), "positions": ("table",), "decoder": ("mask_token",),
}  # fmt: skip
_DENSE = ("kernel", "bias")
_NO_WEIGHT = "seed_generator"  # the state of a dropout's random numbers
_OPTIMIZER = "optimizer/"  # of a model that was compiled; it is no part of it
_CHUNK = 4 << 20


@dataclass(frozen=True)
class KerasArchive:
    """What a file holds."""

    architecture: dict[str, Any]  # of the model, as its configuration says it
    task: Any  # of a classifier, likewise
    arrays: dict[str, np.ndarray]  # by our names, the embedding of patches as a matrix
    note: str | None  # the text of the member asked for
    set_aside: list[str]  # what is no weight of the model: the state of an optimizer


def read_keras_archive(path: Path, note: str) -> KerasArchive:
    """Reads a file.

    Args:
        note: name of a member with a text, which the file may have.

    Raises:
        ConfigError: damaged, of another model, or with weights that no model of this project has.
    """
    with open_zip(path) as archive, tempfile.TemporaryDirectory(prefix="mae-keras-") as folder:
        config = json_object(f"{path}: {_CONFIG}", read_text(archive, archive.getinfo(_CONFIG), MAX_JSON))
        inner = _inner(path, config)
        architecture = dict(check(f"{path}: {_CONFIG}", "architecture", inner.get("architecture"), table()))
        told = read_text(archive, archive.getinfo(note), MAX_JSON).decode() if note in archive.namelist() else None
        weights = Path(folder) / _WEIGHTS
        # HDF5's library wants a file; `zipfile` compares the checksum at the end.
        with archive.open(_WEIGHTS) as source, open(weights, "xb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        arrays, set_aside = _arrays(path, weights)
        return KerasArchive(architecture, inner.get("task", CLASSIFICATION), arrays, told, set_aside)


def _inner(path: Path, config: dict[str, Any]) -> Mapping[str, Any]:
    """The arguments of the model's class."""
    name = config.get("class_name")
    module = config.get("module")
    if name not in _CLASSES or not isinstance(module, str) or not module.startswith("mae."):
        what = f"a {name}" if isinstance(name, str) and len(name) < 100 else "something"
        raise ConfigError(f"{path} holds {what}, not a model of this project ({' or '.join(_CLASSES)})")
    inner: Mapping[str, Any] = check(f"{path}: {_CONFIG}", "config", config.get("config"), table())
    return inner


def _arrays(path: Path, weights: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The weights, by our names, and what else there is."""
    try:
        file = read_hdf5(weights, ())
        set_aside = [inner for inner in file.places if inner.startswith(_OPTIMIZER)]
        of_model = [inner for inner in file.places if _NO_WEIGHT not in inner and not inner.startswith(_OPTIMIZER)]
        names = {inner: _our_name(path, inner) for inner in of_model}
        return {name: file.array(inner) for inner, name in names.items()}, set_aside
    except ConfigError as error:
        raise ConfigError(str(error).replace(str(weights), f"{path}: {_WEIGHTS}")) from error


def _our_name(path: Path, inner: str) -> str:
    """`encoder/block_1/mlp/fc1/kernel` for `encoder/blocks/transformer_block_1/mlp/fc1/vars/0`."""
    layer, _, number = inner.rpartition("/vars/")
    called = _VARIABLES.get(layer.rpartition("/")[2], _DENSE)
    if not layer or number not in ("0", "1") or int(number) >= len(called):
        raise ConfigError(f"{path}: {_WEIGHTS}: {inner[:100]!r} is no weight of a model of this project")
    if match := _BLOCK.fullmatch(layer):
        layer = f"{match[1]}/block_{int(match[2] or 0)}/{match[3]}"
    return f"{layer}/{called[int(number)]}"
