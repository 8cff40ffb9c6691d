"""PyTorch checkpoint files (`.pth`, `.pt`, `pytorch_model.bin`) without PyTorch.

Since PyTorch 1.6 such a file is a zip: `NAME/data.pkl`, the pickled object, in which a tensor is a reference to a
storage plus offset, size and strides; `NAME/data/KEY`, the bytes of one storage; and, since 2.1, `NAME/byteorder`.
"""

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints.containers.pickle_budget import MAX_BYTES
from mae.checkpoints.containers.torch_legacy import is_legacy, read_legacy
from mae.checkpoints.containers.torch_pickle import DType, Namespace, unpickle
from mae.checkpoints.containers.torch_writer import write_torch
from mae.checkpoints.containers.zip_guard import open_zip, read_member, read_text
from mae.errors import ConfigError

__all__ = ["Namespace", "read_torch", "write_torch"]

_MAX_ORDER = 100  # bytes of the member that is one word
_READERS = 2  # threads: checksums take as long as reading


def read_torch(path: str | Path) -> Any:
    """The object `torch.save` wrote, with every tensor and parameter as a NumPy array.

    Dicts, lists, tuples, sets, numbers, strings and None come as they are; an `OrderedDict` as a dict, an
    `argparse.Namespace` as a `Namespace` (a dict), `torch.Size` as a tuple, a device as its type, a path as text, a
    tensor type as a `DType`.
    Arrays are C-contiguous and keep their type, except bfloat16, which NumPy lacks: it becomes float32, exactly.
    Tensors that share a storage share memory, unless they are not contiguous: those are copies.

    The zip layout carries a checksum for each storage, which is verified. The older layout has none: there, damage
    is found only where it changes a length.

    Raises:
        ConfigError: missing, damaged, of another kind, or naming anything that is not a tensor or plain data.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(64)
            if is_legacy(start):
                return read_legacy(file)
    except FileNotFoundError as error:
        raise ConfigError(f"no file at {path}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error})") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if start[:2] != b"PK":
        raise ConfigError(
            f"{path} is no PyTorch file: it starts with {start[:8]!r}; expected a zip or a PyTorch pickle"
        )
    with open_zip(path) as archive, ThreadPoolExecutor(_READERS) as pool:
        try:
            return _read_zip(path, archive, pool)
        finally:
            pool.shutdown(cancel_futures=True)


def _read_zip(path: Path, archive: zipfile.ZipFile, pool: ThreadPoolExecutor) -> Any:
    members = {member.filename: member for member in archive.infolist()}
    roots = [name.removesuffix("data.pkl") for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(roots) != 1:
        raise ConfigError(f"{path} is no PyTorch file: expected one data.pkl in the zip, found {len(roots)}")
    root = roots[0]
    if f"{root}constants.pkl" in members:
        raise ConfigError(f"{path} is a TorchScript program; expected a file of tensors (a state dict)")
    order = b"little"
    if record := members.get(f"{root}byteorder"):
        order = read_text(archive, record, _MAX_ORDER).strip()
        if order not in (b"little", b"big"):
            raise ConfigError(f"{path} gives its byte order as {order[:20]!r}; expected little or big")

    # Read and checked ahead of the pickle, which nearly always uses every storage, in threads.
    stored = [name for name in members if members[name].compress_type == zipfile.ZIP_STORED]
    ahead = {
        name: pool.submit(read_member, archive, members[name]) for name in stored if name.startswith(f"{root}data/")
    }

    def read_storage(key: str, dtype: DType, count: int) -> np.ndarray:
        member = members.get(f"{root}data/{key}")
        size = count * np.dtype(dtype.numpy).itemsize
        if member is None or member.file_size != size:
            found = "is missing" if member is None else f"has {member.file_size} bytes"
            raise ConfigError(f"storage {key!r} {found}; expected {size} bytes for {count} of {dtype.name}")
        started = ahead.pop(member.filename, None)  # popped: the pool must not keep what is used up
        raw = started.result() if started else read_member(archive, member)
        return swapped(raw, dtype) if order == b"big" else raw

    data = read_text(archive, members[f"{root}data.pkl"], MAX_BYTES)
    try:
        return unpickle(io.BytesIO(data), read_storage)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def swapped(raw: np.ndarray, dtype: DType) -> np.ndarray:
    """The bytes of a big-endian storage, in place, in the order of the table."""
    raw.view(dtype.numpy).byteswap(inplace=True)
    return raw
