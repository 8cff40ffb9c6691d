"""TensorFlow's own checkpoints (`NAME.index` and `NAME.data-…`) and those inside a SavedModel, without TensorFlow.

The index is a sorted table. Its first row, of the key "", is a `BundleHeaderProto`; the others are, for each tensor, a
`BundleEntryProto`: type, shape, which data file, place in it, checksum (tensorflow/core/protobuf/tensor_bundle.proto).
Keys are object paths; the entry `_CHECKPOINTABLE_OBJECT_GRAPH` is a text, a `TrackableObjectGraph`, which gives among
others the full name each variable had. TensorFlow's own reader trusts what the index says, and ends the process, or
asks for any amount of memory, where that is untrue.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mae.checkpoints.containers.crc32c import masked_crc32c
from mae.checkpoints.containers.protobuf import Budget, read_varint, signed
from mae.checkpoints.containers.sorted_table import read_table
from mae.checkpoints.containers.torch_pickle import widened
from mae.checkpoints.schema import MAX_NAME, check_count, check_name
from mae.errors import ConfigError

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_LISTED = re.compile(r"variables/(\d+)")
_SHARD = re.compile(r"\.(index|data-\d{5}-of-\d{5})$")
# Numbers of tensorflow/core/framework/types.proto and how such values lie in a file (bfloat16 as its 16 bits).
_TYPES = {
    1: "f4", 2: "f8", 3: "i4", 4: "u1", 5: "i2", 6: "i1", 9: "i8", 10: "?", 14: "u2", 17: "u2", 19: "f2", 22: "u4",
    23: "u8",
}  # fmt: skip
_BFLOAT16, _STRING = 14, 7
_MAX_GRAPH = 64 << 20  # bytes; that of the largest released model has 1 MB
_MAX_SHARDS = 10_000
_MAX_AXES = 32
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


@dataclass(frozen=True)
class _Entry:
    """What the index says of one tensor, checked as far as can be without its data."""

    type: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int  # bytes
    checksum: int
    sliced: bool  # it has no data: its parts are other entries


class _Reader:
    """A checkpoint's tensors by object path."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._budget = Budget()
        try:
            rows = read_table(prefix.with_name(f"{prefix.name}.index"))
            check_count(prefix, len(rows))
            self._shards, self._order = self._header(rows.pop(b"", b""))
            self._entries = {key.decode(): self._entry(memoryview(row)) for key, row in rows.items()}
        except (ConfigError, OSError, UnicodeDecodeError) as error:
            raise self._damaged(f"{prefix.name}.index: {error}") from error
        self._check_sizes()

    def weight_keys(self) -> list[str]:
        """Object paths of the numeric variables that belong to the model."""
        weights = {
            key.removesuffix(_VALUE): entry
            for key, entry in self._entries.items()
            if key.endswith(_VALUE) and entry.type != _STRING
        }
        keys = sorted(key for key in weights if not _NOT_WEIGHTS.search(key))
        for key in keys:
            check_name(self._prefix, key)
            if weights[key].type not in _TYPES:
                raise ConfigError(f"{self._prefix}: {key} has the type number {weights[key].type}; expected numbers")
            if weights[key].sliced:
                raise ConfigError(f"{self._prefix}: {key} is kept in slices; expected whole tensors")
        return keys

    def array(self, key: str) -> np.ndarray:
        """A tensor, its checksum verified; bfloat16 as float32."""
        entry = self._entries[key + _VALUE]
        octets = self._data(key, entry)
        if masked_crc32c(octets) != entry.checksum:
            raise self._damaged(f"the checksum of {key} is wrong")
        stored = np.dtype(_TYPES[entry.type])
        array = octets.view(self._order + stored.str[1:] if stored.itemsize > 1 else stored).reshape(entry.shape)
        array = array.astype(stored, copy=False)
        return widened(array) if entry.type == _BFLOAT16 else array

    def full_names(self) -> dict[str, str]:
        """The full name, without `:0`, of the variable at each object path."""
        if _GRAPH not in self._entries:
            raise ConfigError(f"{self._prefix} has no object graph; expected one that TensorFlow 2 wrote")
        try:
            graph = self._text(_GRAPH)
            attributes = [
                dict(self._budget.fields(_message(attribute)))
                for number, node in self._budget.fields(graph)
                if number == 1
                for field, attribute in self._budget.fields(_message(node))
                if field == 2
            ]
            names = {}
            for fields in attributes:  # 2: the full name, 3: the key
                key = bytes(_message(fields.get(3, memoryview(b"")))).decode()
                full = bytes(_message(fields.get(2, memoryview(b"")))).decode()
                names[key.removesuffix(_VALUE)] = full[:MAX_NAME].removesuffix(":0")
        except (ConfigError, UnicodeDecodeError) as error:
            raise self._damaged(f"its object graph: {error}") from error
        return names

    def _header(self, row: bytes) -> tuple[int, str]:
        """How many data files there are, and the order of bytes in them."""
        fields = dict(self._budget.fields(memoryview(row)))
        shards, big = fields.get(1, 0), fields.get(2, 0)
        if not isinstance(shards, int) or not 1 <= shards <= _MAX_SHARDS:
            raise ConfigError(f"its header counts {shards} data files; expected 1 to {_MAX_SHARDS}")
        return shards, ">" if big else "<"

    def _entry(self, row: memoryview) -> _Entry:
        sliced = False
        numbers = dict.fromkeys(range(1, 7), 0)
        shape: tuple[int, ...] = ()
        for number, value in self._budget.fields(row):
            if number == 2:
                shape = self._shape(_message(value))
            elif number == 7:
                sliced = True
            elif isinstance(value, int):
                numbers[number] = value
        shard, offset, size = numbers[3], signed(numbers[4]), signed(numbers[5])
        if shard >= self._shards or offset < 0 or size < 0:
            raise ConfigError(f"a tensor of {size} bytes at {offset} of data file {shard} of {self._shards}")
        kind = numbers[1]
        if kind in _TYPES and not sliced and size != math.prod(shape) * np.dtype(_TYPES[kind]).itemsize:
            raise ConfigError(f"a tensor of shape {shape} and type number {kind} with {size} bytes")
        return _Entry(kind, shape, shard, offset, size, numbers[6], sliced)

    def _shape(self, message: memoryview) -> tuple[int, ...]:
        shape = []
        for number, value in self._budget.fields(message):
            if number == 2:
                size = dict(self._budget.fields(_message(value))).get(1, 0)
                shape.append(signed(size) if isinstance(size, int) else -1)
        if len(shape) > _MAX_AXES or any(size < 0 for size in shape):
            raise ConfigError(f"a tensor of shape {tuple(shape[:_MAX_AXES])}")
        return tuple(shape)

    def _check_sizes(self) -> None:
        """All tensors must have room in the data files, each in bytes of its own."""
        declared = sum(entry.size for entry in self._entries.values())
        stored = 0
        for shard in sorted({entry.shard for entry in self._entries.values()}):
            path = self._shard(shard)
            stored += path.stat().st_size if path.is_file() else 0
        if declared > stored:
            raise ConfigError(f"{self._prefix} declares {declared} bytes of tensors and its data files have {stored}")

    def _shard(self, number: int) -> Path:
        return self._prefix.with_name(f"{self._prefix.name}.data-{number:05d}-of-{self._shards:05d}")

    def _data(self, key: str, entry: _Entry) -> np.ndarray:
        path = self._shard(entry.shard)
        if not path.is_file():
            raise self._damaged(f"{path.name} is missing")
        octets = np.fromfile(path, np.uint8, entry.size, offset=entry.offset)
        if octets.size != entry.size:
            raise self._damaged(f"{path.name} ends within {key}")
        return octets

    def _text(self, key: str) -> memoryview:
        """A tensor that is one text: its length, a checksum of the length, the text."""
        entry = self._entries[key]
        if entry.type != _STRING or entry.shape or entry.sliced or entry.size > _MAX_GRAPH:
            raise ConfigError(f"type number {entry.type}, shape {entry.shape}, {entry.size} bytes; expected one text")
        data = memoryview(self._data(key, entry).data)
        length, position = read_varint(data, 0)
        text = data[position + 4 :]
        if length != len(text):
            raise ConfigError(f"a text of {length} bytes in {len(text)}")
        # The checksum covers the length as a number of 32 bits, and then what follows it in the file.
        if masked_crc32c(length.to_bytes(4, "little") + bytes(data[position:])) != entry.checksum:
            raise ConfigError("its checksum is wrong")
        return text

    def _damaged(self, reason: str) -> ConfigError:
        return ConfigError(f"{self._prefix} is damaged or no TensorFlow checkpoint ({reason})")


def _message(value: int | memoryview) -> memoryview:
    """A field that must be a text or a message."""
    if isinstance(value, int):
        raise ConfigError(f"a number ({value}) where a message belongs")
    return value
