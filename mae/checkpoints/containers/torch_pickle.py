"""PyTorch's pickles as plain data: tensors as NumPy arrays, and nothing a file names is ever looked up or called.

`pickle` finds what a file names by importing it. Here the names are keys of `_GLOBALS`, a table of data and of small
functions of this module; a name that is not in it is an error. The opcodes that call, build or extend objects are
replaced by ones that accept only those entries.
"""

import codecs
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import numpy as np

from mae.errors import ConfigError

# A view may repeat its storage (stride 0), but not so often that a small file fills the memory.
_MAX_REPEAT = 1000


class Namespace(dict):
    """What an `argparse.Namespace` held, as a dict."""


@dataclass(frozen=True)
class DType:
    """A tensor type: its name in PyTorch and its little-endian NumPy type on disk (bfloat16 as its 16 bits)."""

    name: str
    numpy: str


DTYPES = {
    name: DType(name, code)
    for name, code in {
        "float16": "<f2", "float32": "<f4", "float64": "<f8", "bfloat16": "<u2", "int8": "|i1", "int16": "<i2",
        "int32": "<i4", "int64": "<i8", "uint8": "|u1", "uint16": "<u2", "uint32": "<u4", "uint64": "<u8",
        "bool": "|b1", "complex64": "<c8", "complex128": "<c16",
    }.items()
}  # fmt: skip
STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}  # fmt: skip


@dataclass(frozen=True)
class Storage:
    """One flat buffer: `values` (n,) of its own type, or bytes (uint8) where tensors bring their type along."""

    values: np.ndarray
    dtype: DType


# Gives the raw bytes of a storage from its key, its type and its number of elements.
ReadStorage = Callable[[str, DType, int], np.ndarray]


@dataclass(frozen=True)
class _Function:
    """An entry of the table that a file may call."""

    call: Callable[..., Any]


class _NumpyType:
    """The type of a NumPy scalar, under construction: its code, then its byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        if not (isinstance(code, str) and code[:1] in "biufc" and code[1:].isdigit()):
            raise ConfigError(f"it holds a NumPy value of type {code!r}; expected a number")
        self.code, self.order = code, "<"

    def set_state(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def scalar(self, data: bytes) -> Any:
        return np.frombuffer(data, np.dtype(self.order + self.code), count=1)[0].item()


def _tensor(storage: Any, offset: int, size: tuple, stride: tuple, *_: Any, dtype: DType | None = None) -> np.ndarray:
    """The tensor of `size` that starts at element `offset`; views into the storage where it is contiguous.

    Raises:
        ConfigError: it reaches beyond its storage.
    """
    if not isinstance(storage, Storage):
        raise ConfigError(f"a tensor has a {type(storage).__name__} for a storage")
    values = storage.values if dtype is None else storage.values.view(dtype.numpy)
    numbers = [offset, *size, *stride]
    if len(size) != len(stride) or not all(type(number) is int and number >= 0 for number in numbers):
        raise ConfigError(f"a tensor has offset {offset!r}, size {size!r} and strides {stride!r}")
    count = math.prod(size)
    end = offset + 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if count else offset
    if end > values.size or count > _MAX_REPEAT * max(values.size, 1):
        raise ConfigError(f"a tensor of shape {tuple(size)} reaches beyond its storage of {values.size} elements")
    if list(stride) == [math.prod(size[axis + 1 :]) for axis in range(len(size))] or not count:
        array = values[offset : offset + count].reshape(size)
    else:
        steps = [step * values.itemsize for step in stride]
        array = np.lib.stride_tricks.as_strided(values[offset:], size, steps, writeable=False).copy(order="C")
    return widened(array) if (dtype or storage.dtype).name == "bfloat16" else array


def widened(bits: np.ndarray) -> np.ndarray:
    """bfloat16, given as its 16 bits, to the float32 of the same value: the bits are its upper half."""
    wide = np.asarray(bits.astype(np.uint32))
    wide <<= np.uint32(16)
    return wide.view(np.float32)


def _tensor_v3(
    storage: Any, offset: int, size: tuple, stride: tuple, _grad: Any, _hooks: Any, dtype: Any, *_: Any
) -> Any:
    if not isinstance(dtype, DType):
        raise ConfigError(f"a tensor has the type {dtype!r}")
    return _tensor(storage, offset, size, stride, dtype=dtype)


def _first(value: Any, *_: Any) -> Any:
    """Parameters are their tensors, and devices their names: gradients, hooks and attributes are left aside."""
    return value


def _from_type(function: Any, _type: Any, args: tuple, _state: Any) -> Any:
    """A tensor with attributes of its own: those are left aside."""
    if not isinstance(function, _Function):
        raise ConfigError(f"a tensor is to be built by {function!r}")
    return function.call(*args)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Protocol 2 has no bytes: they are written as text."""
    if encoding != "latin1":
        raise ConfigError(f"it holds bytes in the encoding {encoding!r}; expected latin1")
    return codecs.encode(text, "latin1")


def _scalar(kind: Any, data: bytes) -> Any:
    if not isinstance(kind, _NumpyType):
        raise ConfigError(f"it holds a NumPy value of type {kind!r}")
    return kind.scalar(data)


def _path(*parts: str) -> str:
    return "/".join(parts).replace("//", "/")


_GLOBALS: dict[str, Any] = {
    "collections.OrderedDict": _Function(dict),
    "argparse.Namespace": _Function(Namespace),
    "torch.Size": _Function(tuple),
    "torch.device": _Function(_first),
    "torch._utils._rebuild_tensor": _Function(_tensor),
    "torch._utils._rebuild_tensor_v2": _Function(_tensor),
    "torch._utils._rebuild_tensor_v3": _Function(_tensor_v3),
    "torch._utils._rebuild_parameter": _Function(_first),
    "torch._utils._rebuild_parameter_with_state": _Function(_first),
    "torch._tensor._rebuild_from_type_v2": _Function(_from_type),
    "torch.Tensor": "torch.Tensor",
    "torch.nn.parameter.Parameter": "torch.nn.parameter.Parameter",
    "_codecs.encode": _Function(_encode),
    "numpy.dtype": _Function(_NumpyType),
    "numpy.core.multiarray.scalar": _Function(_scalar),
    "numpy._core.multiarray.scalar": _Function(_scalar),
    "pathlib.PosixPath": _Function(_path),
    **{f"{module}.{name}": _Function(kind) for module in ("builtins", "__builtin__")
       for name, kind in {"set": set, "frozenset": frozenset, "complex": complex}.items()},
    **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
    **{f"torch.{storage}": DTYPES[name] for storage, name in STORAGES.items()},
    **{f"torch.storage.{storage}": DTYPES["uint8"]
       for storage in ("UntypedStorage", "_UntypedStorage", "TypedStorage", "_TypedStorage")},
}  # fmt: skip


# Opcodes of classes, extensions and buffers, which no PyTorch file has.
_UNKNOWN = set(
    pickle.INST + pickle.OBJ + pickle.NEWOBJ_EX + pickle.EXT1 + pickle.EXT2 + pickle.EXT4 + pickle.NEXT_BUFFER
    + pickle.READONLY_BUFFER + pickle.BYTEARRAY8
)  # fmt: skip


class Unpickler(pickle._Unpickler):
    """Reads one pickle of tensors, containers and plain values from where `file` stands, and not a byte beyond it.

    Python's own class, not the one in C: its opcodes can be replaced, and it trusts no length a file declares.
    """

    dispatch: ClassVar[dict[int, Any]] = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code not in _UNKNOWN
    }

    def __init__(self, file: BinaryIO, read_storage: ReadStorage) -> None:
        super().__init__(file, encoding="utf-8")
        self._read_storage = read_storage
        self._storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The entry of the table for what a file names."""
        if (full := f"{module}.{name}") not in _GLOBALS:
            raise ConfigError(
                f"it wants the global {full!r}, which could run code; expected tensors, dicts, lists, numbers, "
                "strings and argparse.Namespace only"
            )
        return _GLOBALS[full]

    def persistent_load(self, pid: Any) -> Storage:
        """The storage of `("storage", type, key, device, elements[, view])`, read once."""
        if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"):
            raise ConfigError(f"it refers to {str(pid)[:60]!r}; expected a tensor storage")
        dtype, key, count = pid[1], pid[2], pid[4]
        if not (isinstance(dtype, DType) and isinstance(key, str) and type(count) is int and count >= 0):
            raise ConfigError(f"it refers to the storage {str(pid)[:60]!r}")
        if key not in self._storages:
            raw = self._read_storage(key, dtype, count)
            self._storages[key] = Storage(raw.view(dtype.numpy), dtype)
        storage = self._storages[key]
        if storage.dtype != dtype:
            raise ConfigError(f"storage {key} has two types, {storage.dtype.name} and {dtype.name}")
        if len(pid) == 6 and pid[5] is not None:
            _, start, length = pid[5]
            return Storage(storage.values[start : start + length], dtype)
        return storage

    def _call(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()  # type: ignore[attr-defined]
        if not isinstance(function, _Function):
            raise ConfigError(f"it calls {str(function)[:60]!r}")
        self.append(function.call(*args))  # type: ignore[attr-defined]

    dispatch[pickle.REDUCE[0]] = _call
    dispatch[pickle.NEWOBJ[0]] = _call

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]  # type: ignore[attr-defined]
        if isinstance(target, Namespace) and isinstance(state, dict):
            target.update(state)
        elif isinstance(target, _NumpyType):
            target.set_state(state)
        elif type(target) is not dict:  # an OrderedDict's attributes (the versions of modules) are left aside
            raise ConfigError(f"it sets the state of a {type(target).__name__}")

    dispatch[pickle.BUILD[0]] = _build


def unpickle(file: BinaryIO, read_storage: ReadStorage) -> Any:
    """The object pickled at the position of `file`, which is left behind it.

    Raises:
        ConfigError: it names something that is not in the table, or it is damaged.
    """
    try:
        return Unpickler(file, read_storage).load()
    except ConfigError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise ConfigError(f"its pickle is damaged ({type(error).__name__}: {str(error)[:100]})") from error
