"""TensorFlow's own checkpoints (`NAME.index` and `NAME.data-…`) and those inside a SavedModel.

Tensors have object paths as keys; the entry `_CHECKPOINTABLE_OBJECT_GRAPH` describes the objects, among others the
full name each variable had. TensorFlow verifies the checksum of every tensor it reads.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints.tensorflow_needed import tensorflow_for
from mae.errors import ConfigError, one_line

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_LISTED = re.compile(r"variables/(\d+)")
_SHARD = re.compile(r"\.(index|data-\d{5}-of-\d{5})$")
# What training leaves beside the weights.
_NOT_WEIGHTS = re.compile(r"^save_counter$|\.OPTIMIZER_SLOT|^(?:_?optimizer|keras_api)(?:/|$)")


def read_saved_model(folder: str | Path) -> list[tuple[str, np.ndarray]]:
    """The weights of a SavedModel of Keras 2 in the order of the model's list, as (full name, array).

    Names are those of the variables, without `:0`. Weights outside the list, such as `mask_token_pretrained`, come
    last, under their object paths. Optimizer and metrics are left out. No graph of the SavedModel is loaded or run.

    Raises:
        ConfigError: missing, damaged, or without a Keras list of variables.
    """
    folder = Path(folder)
    if not (folder / "variables" / "variables.index").is_file():
        raise ConfigError(f"{folder} holds no variables/variables.index; expected an unpacked SavedModel")
    reader = _Reader(folder / "variables" / "variables")
    names = reader.full_names()
    listed: dict[int, tuple[str, np.ndarray]] = {}
    others: list[tuple[str, np.ndarray]] = []
    for key in reader.weight_keys():
        if match := _LISTED.fullmatch(key):
            if key not in names:
                raise ConfigError(f"{folder} gives no name for {key} in its object graph: damaged")
            listed[int(match[1])] = names[key], reader.array(key)
        else:
            others.append((key, reader.array(key)))
    if sorted(listed) != list(range(len(listed))) or not listed:
        raise ConfigError(
            f"{folder} lists {len(listed)} variables, numbered up to {max(listed, default=0)}; expected the gapless "
            "list (variables/0, variables/1, …) of a SavedModel that Keras 2 wrote"
        )
    return [listed[position] for position in sorted(listed)] + others


def read_tf_checkpoint(prefix: str | Path) -> dict[str, np.ndarray]:
    """The weights of a checkpoint by object path, such as `encoder/blocks/0/norm1/gamma`.

    `prefix` is the common name of the files, or one of them, or a folder with one checkpoint in it. The save counter
    and the optimizer are left out.

    Raises:
        ConfigError: missing, damaged, or without weights.
    """
    reader = _Reader(checkpoint_prefix(prefix))
    reader.full_names()  # nothing of it is needed, but it is part of what must be whole
    arrays = {key: reader.array(key) for key in reader.weight_keys()}
    if not arrays:
        raise ConfigError(f"{prefix} is a TensorFlow checkpoint without weights under object paths")
    return arrays


def checkpoint_prefix(path: str | Path) -> Path:
    """The common part of a checkpoint's file names.

    Raises:
        ConfigError: no `.index` file there, or several in a folder.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(path.glob("*.index"))
        if len(found) != 1:
            raise ConfigError(f"{path} holds {len(found)} TensorFlow checkpoints (*.index); name one of them")
        path = found[0]
    prefix = path.with_name(_SHARD.sub("", path.name))
    if not prefix.with_name(f"{prefix.name}.index").is_file():
        raise ConfigError(f"no TensorFlow checkpoint at {path}: {prefix.name}.index is missing")
    return prefix


class _Reader:
    """A checkpoint's tensors by object path."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._tf = tensorflow_for(f"{prefix}: reading what TensorFlow wrote")
        self._reader = self._safely(self._tf.train.load_checkpoint, str(prefix))
        self._shapes: dict[str, list[int]] = self._reader.get_variable_to_shape_map()
        self._types: dict[str, Any] = self._reader.get_variable_to_dtype_map()
        stored = sum(shard.stat().st_size for shard in prefix.parent.glob(f"{prefix.name}.data-*"))
        declared = sum(
            int(np.prod([int(size) for size in shape], dtype=object)) * self._types[key].size
            for key, shape in self._shapes.items()
        )
        if declared > stored:
            raise ConfigError(f"{prefix} declares {declared} bytes of tensors and its data files have {stored}")

    def weight_keys(self) -> list[str]:
        """Object paths of the numeric variables that belong to the model."""
        keys = sorted(key.removesuffix(_VALUE) for key in self._shapes if key.endswith(_VALUE))
        return [key for key in keys if self._types[key + _VALUE] != self._tf.string and not _NOT_WEIGHTS.search(key)]

    def array(self, key: str) -> np.ndarray:
        """A tensor, its checksum verified; bfloat16 as float32."""
        array = np.asarray(self._safely(self._reader.get_tensor, key + _VALUE))
        return array.astype(np.float32) if array.dtype.name == "bfloat16" else array

    def full_names(self) -> dict[str, str]:
        """The full name, without `:0`, of the variable at each object path."""
        if _GRAPH not in self._shapes:
            raise ConfigError(f"{self._prefix} has no object graph; expected one that TensorFlow 2 wrote")
        from tensorflow.core.protobuf import trackable_object_graph_pb2

        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        self._safely(graph.ParseFromString, self._safely(self._reader.get_tensor, _GRAPH))
        return {
            attribute.checkpoint_key.removesuffix(_VALUE): attribute.full_name.removesuffix(":0")
            for node in graph.nodes
            for attribute in node.attributes
        }

    def _safely(self, function: Any, argument: Any) -> Any:
        try:
            return function(argument)
        except Exception as error:  # TensorFlow's errors, and those of protocol buffers, share no other class
            reason = one_line(error)[:200]
            raise ConfigError(f"{self._prefix} is damaged or no TensorFlow checkpoint ({reason})") from error
