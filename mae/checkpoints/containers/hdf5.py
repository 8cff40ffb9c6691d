"""HDF5 files from strangers: the library reads them in a process of its own, which may come to harm.

That process tells where in the file the bytes of each array lie, and they are read from there, here. Only arrays that
are compressed or in pieces, which Keras does not write, come through a pipe.
"""

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mae.checkpoints.containers.zip_guard import FREE_TOTAL, MAX_TOTAL_RATIO
from mae.checkpoints.schema import MAX_NAME, MAX_TENSORS, listing, whole
from mae.errors import ConfigError, one_line, shown

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CHILD = Path(__file__).with_name("hdf5_child.py")
_SECONDS = 20  # of the processor, and one more for as many bytes as follow
_BYTES_A_SECOND = 10 << 20
_SECONDS_TO_END = 5
_MEMORY = 2 << 30  # bytes of address space, most of which libraries reserve and never use; and twice the file
_MAX_LISTING = 64 << 20  # bytes
_TYPE = re.compile(r"[<>|][fiub][1248]")
_SHAPE = listing(whole(0, 1 << 62), most=32)


@dataclass(frozen=True)
class HDF5:
    """What is in a file. Paths have no leading slash; that of the file's root is empty."""

    path: Path
    groups: Mapping[str, Mapping[str, Sequence[str]]]  # path -> those of the attributes asked for that it has
    places: Mapping[str, Mapping[str, Any]]  # path -> what is told of an array
    streamed: Mapping[str, np.ndarray]  # arrays that came through the pipe

    def array(self, path: str) -> np.ndarray:
        """The array at a path.

        Raises:
            ConfigError: there is none, or it is no array of numbers in this file.
        """
        if path not in self.places:
            if path in self.groups:
                raise ConfigError(f"{self.path}: {path} is no array of numbers")
            raise ConfigError(f"{self.path} has no {path!r}, which its lists name: damaged")
        if path in self.streamed:
            return self.streamed[path]
        place = self.places[path]
        if "refused" in place:
            raise ConfigError(f"{self.path}: {path} is {place['refused']}")
        shape = tuple(place["shape"])
        array = np.fromfile(self.path, place["type"], math.prod(shape), offset=place["offset"])
        if array.size != math.prod(shape):
            raise ConfigError(f"{self.path} is damaged: it ends within {path}")
        return array.reshape(shape)


def read_hdf5(path: str | Path, attributes: Sequence[str]) -> HDF5:
    """Lists a file and reads what cannot be read later.

    Args:
        attributes: names of lists of texts to read, whole or in numbered parts.

    Raises:
        ConfigError: missing, damaged, or beyond the limits of time, memory and objects.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no file at {path}")
    size = path.stat().st_size
    limits = (MAX_TENSORS, _SECONDS + size // _BYTES_A_SECOND, _MEMORY + 2 * size)
    command = [sys.executable, "-P", str(_CHILD), str(path.absolute()), ",".join(attributes), *map(str, limits)]
    # One thread: those of the libraries for linear algebra, which nothing needs here, would reserve memory each.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **streams) as child:  # type: ignore[call-overload]
        said: list[bytes] = []
        # What it says must be taken away, or it would wait for that; the last words are enough.
        listener = threading.Thread(target=lambda: said.append(child.stderr.read()[-2000:]))
        listener.start()
        try:
            file = _received(path, child.stdout, size)
            if file is None:  # it has ended, or is about to
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_SECONDS_TO_END)
        finally:
            child.kill()
            listener.join()
    if file is None:
        raise _came_to_harm(path, child.returncode, said[0].decode(errors="replace"))
    return file


def _received(path: Path, pipe: BinaryIO, size: int) -> HDF5 | None:
    """What the child tells; None: it ended before it had told all."""
    listing = pipe.readline(_MAX_LISTING)
    if not listing.endswith(b"\n"):
        return None
    told = _listed(path, listing, size)
    streamed = {}
    for inner, place in told["arrays"].items():
        if not {"offset", "refused"} & place.keys():
            try:
                streamed[inner] = _array_from(pipe, place)
            except EOFError:
                return None
    return HDF5(path, told["groups"], told["arrays"], streamed)


def _array_from(pipe: BinaryIO, place: Mapping[str, Any]) -> np.ndarray:
    array = np.empty(tuple(place["shape"]), place["type"])
    view, position = array.reshape(-1).view(np.uint8).data, 0
    while position < len(view):
        read = pipe.readinto(view[position:])  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        position += read
    return array


def _listed(path: Path, listing: bytes, size: int) -> dict[str, Any]:
    """What the child told, checked: whoever made the file may have taken the child over."""
    try:
        told = json.loads(listing)
        if "error" in told:
            raise ConfigError(f"{path} is damaged or no HDF5 file ({one_line(told['error'])}); fetch it again")
        whole, streamed = _octets(path, told["arrays"], size)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} is damaged: what HDF5's library makes of it cannot be ({error})") from error
    if whole > size or streamed > max(MAX_TOTAL_RATIO * size, FREE_TOTAL):
        raise ConfigError(f"{path} lists {whole + streamed} bytes of arrays and has {size}: damaged or made to do harm")
    return told


def _octets(path: Path, places: Mapping[str, Mapping[str, Any]], size: int) -> tuple[int, int]:
    """How many bytes the arrays have that lie in the file as they are, and how many the others."""
    whole = streamed = 0
    for inner, place in places.items():
        if len(inner) > MAX_NAME:
            raise ConfigError(f"{path}: an array has the name {shown(inner)}; expected at most {MAX_NAME} characters")
        if "refused" in place:
            continue
        shape = place["shape"]
        if not (_TYPE.fullmatch(place["type"]) and _SHAPE.allows(shape)):
            raise ConfigError(f"{path}: {inner} has the type {shown(place['type'])} and the shape {shape}")
        octets = math.prod(shape) * np.dtype(place["type"]).itemsize
        if "offset" not in place:
            streamed += octets
            continue
        whole += octets
        if not 0 <= place["offset"] <= size - octets:
            raise ConfigError(f"{path} is damaged: {inner} reaches beyond its {size} bytes")
    return whole, streamed


def _came_to_harm(path: Path, status: int, said: str) -> ConfigError:
    """The error for a child that ended before all was told."""
    if status == -signal.SIGXCPU:
        return ConfigError(f"{path} takes longer to read than any file of its size: damaged or made to do harm")
    last = said.strip().splitlines()[-1:] or [f"signal {-status}" if status < 0 else f"status {status}"]
    return ConfigError(f"{path} is damaged: HDF5's library did not get through it ({one_line(last[0])[:200]})")
