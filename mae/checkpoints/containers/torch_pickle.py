"""PyTorch's pickles as plain data: tensors as NumPy arrays, and nothing a file names is ever looked up or called.

`pickle` finds what a file names by importing it. Here the names are keys of `_GLOBALS`, a table of data and of small
functions of this module. What training libraries keep beside the weights (`_LIBRARIES`) stands for a `Foreign`, which
is never built and holds nothing; any other name is an error. The opcodes that call, build or extend objects are
replaced by ones that accept only these.

A few bytes can also ask for more work than any computer does: a tuple of ten references to a tuple of ten references…
has no end for whoever takes its hash, or prints it. So steps, bytes and copies are counted against a budget, keys are
plain, and messages show no more than the kind of what holds other values.
"""

import codecs
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import numpy as np

from mae.checkpoints.containers.pickle_budget import Bounded, Budget
from mae.errors import ConfigError, shown

_LARGEST = 1 << 62  # size, stride or place
_MAX_AXES = 32


class Namespace(dict):
    """What an `argparse.Namespace` held, as a dict."""


@dataclass(frozen=True)
class Foreign:
    """Stands where a file has a class or an object of a library's own: whatever is done with it is left undone."""

    name: str  # the global

    def append(self, item: Any) -> None:
        """Nothing: what it would hold is left aside."""

    def extend(self, items: Any) -> None:
        """Nothing, too."""


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
    budgeted: bool = False  # it takes the budget ahead of its arguments

    def __call__(self, budget: Budget, arguments: Any) -> Any:
        if not isinstance(arguments, tuple):
            raise ConfigError(f"it calls something with {shown(arguments)}")
        budget.take(*arguments)
        return self.call(budget, *arguments) if self.budgeted else self.call(*arguments)


class _NumpyType:
    """The type of a NumPy scalar, under construction: its code, then its byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        if not (isinstance(code, str) and code[:1] in "biufc" and code[1:].isdigit()):
            raise ConfigError(f"it holds a NumPy value of type {shown(code)}; expected a number")
        self.code, self.order = code, "<"

    def set_state(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def scalar(self, data: bytes) -> Any:
        return np.frombuffer(data, np.dtype(self.order + self.code), count=1)[0].item()


def _tensor(
    budget: Budget, storage: Any, offset: int, size: tuple, stride: tuple, *_: Any, dtype: DType | None = None
) -> np.ndarray:
    """The tensor of `size` that starts at element `offset`; views into the storage where it is contiguous.

    Raises:
        ConfigError: it reaches beyond its storage.
    """
    if not isinstance(storage, Storage):
        raise ConfigError(f"a tensor has {shown(storage)} for a storage")
    values = storage.values if dtype is None else storage.values.view(dtype.numpy)
    _check_axes(offset, size, stride)
    count = math.prod(size)
    end = offset + 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if count else offset
    if end > values.size or count > _LARGEST:
        raise ConfigError(f"a tensor of shape {tuple(size)} reaches beyond its storage of {values.size} elements")
    if count and not values.strides[0]:
        return np.broadcast_to(values[0], size)  # of a storage that is not read yet
    if list(stride) == [math.prod(size[axis + 1 :]) for axis in range(len(size))] or not count:
        array = values[offset : offset + count].reshape(size)
    else:
        budget.copy(count * values.itemsize)
        steps = [step * values.itemsize for step in stride]
        array = np.lib.stride_tricks.as_strided(values[offset:], size, steps, writeable=False).copy(order="C")
    if (dtype or storage.dtype).name == "bfloat16":
        budget.copy(2 * array.nbytes)
        return widened(array)
    return array


def _check_axes(offset: Any, size: Any, stride: Any) -> None:
    if not (isinstance(size, tuple | list) and isinstance(stride, tuple | list) and len(size) == len(stride)):
        raise ConfigError(f"a tensor has the size {shown(size)} and the strides {shown(stride)}")
    if len(size) > _MAX_AXES:
        raise ConfigError(f"a tensor has {len(size)} axes; expected at most {_MAX_AXES}")
    for what, numbers in (("offset", (offset,)), ("size", size), ("strides", stride)):
        if not all(type(number) is int and 0 <= number < _LARGEST for number in numbers):
            raise ConfigError(f"a tensor has {what} {', '.join(map(shown, numbers))}; expected whole numbers from 0")


def widened(bits: np.ndarray) -> np.ndarray:
    """bfloat16, given as its 16 bits, to the float32 of the same value: the bits are its upper half."""
    wide = np.asarray(bits.astype(np.uint32))
    wide <<= np.uint32(16)
    return wide.view(np.float32)


def _tensor_v3(
    budget: Budget, storage: Any, offset: int, size: tuple, stride: tuple, _grad: Any, _hooks: Any, *rest: Any
) -> Any:
    dtype = rest[0] if rest else None
    if not isinstance(dtype, DType):
        raise ConfigError(f"a tensor has the type {shown(dtype)}")
    return _tensor(budget, storage, offset, size, stride, dtype=dtype)


def _first(value: Any, *_: Any) -> Any:
    """Parameters are their tensors, and devices their names: gradients, hooks and attributes are left aside."""
    return value


def _from_type(budget: Budget, function: Any, _type: Any, args: tuple, _state: Any) -> Any:
    """A tensor with attributes of its own: those are left aside."""
    if not isinstance(function, _Function):
        raise ConfigError(f"a tensor is to be built by {shown(function)}")
    return function(budget, args)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Protocol 2 has no bytes: they are written as text."""
    if encoding != "latin1":
        raise ConfigError(f"it holds bytes in the encoding {shown(encoding)}; expected latin1")
    return codecs.encode(text, "latin1")


def _scalar(kind: Any, data: bytes) -> Any:
    if not isinstance(kind, _NumpyType):
        raise ConfigError(f"it holds a NumPy value of type {shown(kind)}")
    return kind.scalar(data)


def _path(*parts: str) -> str:
    return "/".join(parts).replace("//", "/")


def _plain_key(value: Any) -> Any:
    """A key of a table, or a member of a set: one whose hash takes no time and is not made to be others'."""
    is_small = type(value) is int and abs(value) < _LARGEST
    if value is None or is_small or isinstance(value, str | bool | float | DType):
        return value
    raise ConfigError(f"{shown(value)} is a key of a table; expected text or a number")


def _plain_set(members: Any = ()) -> set:
    return {_plain_key(member) for member in members}


def _plain_dict(pairs: Any = ()) -> dict:
    return {_plain_key(key): value for key, value in (pairs.items() if isinstance(pairs, dict) else pairs)}


def _namespace(pairs: Any = ()) -> Namespace:
    return Namespace(_plain_dict(pairs))


_GLOBALS: dict[str, Any] = {
    "collections.OrderedDict": _Function(_plain_dict),
    "argparse.Namespace": _Function(_namespace),
    "torch.Size": _Function(tuple),
    "torch.device": _Function(_first),
    "torch._utils._rebuild_tensor": _Function(_tensor, budgeted=True),
    "torch._utils._rebuild_tensor_v2": _Function(_tensor, budgeted=True),
    "torch._utils._rebuild_tensor_v3": _Function(_tensor_v3, budgeted=True),
    "torch._utils._rebuild_parameter": _Function(_first),
    "torch._utils._rebuild_parameter_with_state": _Function(_first),
    "torch._tensor._rebuild_from_type_v2": _Function(_from_type, budgeted=True),
    "torch.Tensor": "torch.Tensor",
    "torch.nn.parameter.Parameter": "torch.nn.parameter.Parameter",
    "_codecs.encode": _Function(_encode),
    "numpy.dtype": _Function(_NumpyType),
    "numpy.core.multiarray.scalar": _Function(_scalar),
    "numpy._core.multiarray.scalar": _Function(_scalar),
    "pathlib.PosixPath": _Function(_path),
    **{f"{module}.{name}": _Function(kind) for module in ("builtins", "__builtin__")
       for name, kind in {"set": _plain_set, "frozenset": _plain_set}.items()},
    "builtins.complex": _Function(complex),
    "__builtin__.complex": _Function(complex),
    **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
    **{f"torch.{storage}": DTYPES[name] for storage, name in STORAGES.items()},
    **{f"torch.storage.{storage}": DTYPES["uint8"]
       for storage in ("UntypedStorage", "_UntypedStorage", "TypedStorage", "_TypedStorage")},
}  # fmt: skip


# Whose objects lie beside the weights: what a run was told, how its losses went, the state of its callbacks.
_LIBRARIES = (
    "__main__", "copyreg", "datetime", "deepspeed", "easydict", "enum", "lightning", "lightning_fabric",
    "lightning_utilities", "mmaction", "mmcv", "mmengine", "ml_collections", "numpy.dtypes", "omegaconf", "pathlib",
    "pytorch_lightning", "timm", "torch.distributed", "torch.optim", "torch.torch_version", "torchmetrics",
    "transformers", "typing", "uuid", "yacs",
)  # fmt: skip
_CLASSES = frozenset(
    ["collections.Counter", "collections.defaultdict", "collections.deque", "numpy.ndarray",
     "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
     *(f"{module}.{name}" for module in ("builtins", "__builtin__")
       for name in ("bool", "bytes", "dict", "float", "int", "list", "object", "slice", "str", "tuple", "type"))]
)  # fmt: skip


def _attribute(owner: Any, name: Any) -> Foreign:
    """An attribute of something that is not there either, as pickled methods are written."""
    if not isinstance(owner, Foreign):
        raise ConfigError(f"it takes the attribute {shown(name)} of {shown(owner)}")
    return owner


_GLOBALS |= {f"{module}.getattr": _Function(_attribute) for module in ("builtins", "__builtin__")}

# Opcodes of classes, extensions and buffers, which no PyTorch file has.
_UNKNOWN = set(
    pickle.INST + pickle.OBJ + pickle.NEWOBJ_EX + pickle.EXT1 + pickle.EXT2 + pickle.EXT4 + pickle.NEXT_BUFFER
    + pickle.READONLY_BUFFER + pickle.BYTEARRAY8
)  # fmt: skip


class Unpickler(pickle._Unpickler):
    """Reads one pickle of tensors, containers and plain values from where `file` stands, and not a byte beyond it.

    Python's own class, not the one in C: its opcodes can be replaced and counted.
    """

    dispatch: ClassVar[dict[int, Any]] = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code not in _UNKNOWN
    }

    def __init__(self, file: BinaryIO, read_storage: ReadStorage) -> None:
        super().__init__(Bounded(file), encoding="utf-8")
        self._budget = Budget()
        self.dispatch = _Counted(type(self).dispatch, self._budget)  # type: ignore[misc]
        self._read_storage = read_storage
        self._storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The entry of the table for what a file names."""
        if (full := f"{module}.{name}") in _GLOBALS:
            return _GLOBALS[full]
        if full in _CLASSES or f"{module}.".startswith(tuple(f"{library}." for library in _LIBRARIES)):
            return Foreign(full)
        raise ConfigError(
            f"it wants the global {shown(full)}, which could run code; expected tensors, dicts, lists, numbers, "
            "strings, argparse.Namespace, and objects of training libraries, which are left aside"
        )

    def persistent_load(self, pid: Any) -> Storage:
        """The storage of `("storage", type, key, device, elements[, view])`, read once."""
        if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"):
            what = pid if isinstance(pid, str) else pid[0] if isinstance(pid, tuple) and pid else pid
            raise ConfigError(f"it refers to {shown(what)}; expected a tensor storage")
        dtype, key, count = pid[1], pid[2], pid[4]
        if not (isinstance(dtype, DType) and isinstance(key, str) and type(count) is int and count >= 0):
            raise ConfigError(f"it refers to the storage {shown(key)} of {shown(count)} elements")
        if key not in self._storages:
            raw = self._read_storage(key, dtype, count)
            self._storages[key] = Storage(raw.view(dtype.numpy), dtype)
            self._budget.stored(raw.nbytes)
        storage = self._storages[key]
        if storage.dtype != dtype:
            raise ConfigError(f"storage {key} has two types, {storage.dtype.name} and {dtype.name}")
        if len(pid) == 6 and pid[5] is not None:
            _, start, length = pid[5]
            if type(start) is not int or type(length) is not int or start < 0 or length < 0:
                raise ConfigError(f"it refers to {shown(length)} elements from {shown(start)} on of storage {key}")
            return Storage(storage.values[start : start + length], dtype)
        return storage

    def _call(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()  # type: ignore[attr-defined]
        if not isinstance(function, _Function | Foreign):
            raise ConfigError(f"it calls {shown(function)}")
        made = function if isinstance(function, Foreign) else function(self._budget, args)
        self.append(made)  # type: ignore[attr-defined]

    dispatch[pickle.REDUCE[0]] = _call
    dispatch[pickle.NEWOBJ[0]] = _call

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]  # type: ignore[attr-defined]
        if isinstance(target, Namespace) and isinstance(state, dict):
            self._budget.take(state)
            target.update(state)
        elif isinstance(target, _NumpyType):
            target.set_state(state)
        elif type(target) not in (dict, Foreign):  # attributes of an OrderedDict (versions of modules) are left aside
            raise ConfigError(f"it sets the state of a {type(target).__name__}")

    dispatch[pickle.BUILD[0]] = _build

    # What puts keys into tables, and members into sets.

    def _set_items(self) -> None:
        self._put(self.pop_mark())  # type: ignore[attr-defined]

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()  # type: ignore[attr-defined]
        self._put([key, value])

    def _put(self, items: list[Any]) -> None:
        table = self.stack[-1]  # type: ignore[attr-defined]
        if isinstance(table, Foreign):
            return
        if not isinstance(table, dict) or len(items) % 2:
            raise ConfigError(f"it puts {len(items)} keys and values into {shown(table)}")
        table.update(_plain_dict(zip(items[::2], items[1::2], strict=True)))

    def _make_dict(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self.append({})  # type: ignore[attr-defined]
        self._put(items)

    def _add_items(self) -> None:
        members, target = self.pop_mark(), self.stack[-1]  # type: ignore[attr-defined]
        if not isinstance(target, set):
            raise ConfigError(f"it adds members to {shown(target)}")
        target.update(_plain_set(members))

    def _make_frozenset(self) -> None:
        members = self.pop_mark()  # type: ignore[attr-defined]
        self.append(_plain_set(members))  # type: ignore[attr-defined]

    dispatch[pickle.SETITEMS[0]] = _set_items
    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.DICT[0]] = _make_dict
    dispatch[pickle.ADDITEMS[0]] = _add_items
    dispatch[pickle.FROZENSET[0]] = _make_frozenset


class _Counted(dict):
    """The table of opcodes, whose use is counted."""

    def __init__(self, opcodes: dict[int, Any], budget: Budget) -> None:
        super().__init__(opcodes)
        self._budget = budget

    def __getitem__(self, code: int) -> Any:
        self._budget.step()
        return super().__getitem__(code)


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
