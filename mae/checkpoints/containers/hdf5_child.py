"""What is in an HDF5 file, told by a process that may come to harm: `mae.checkpoints.containers.hdf5` starts it.

HDF5's library is large, old and written in C; a damaged file can make it crash, spin or ask for any amount of memory.
Here that ends this process, whose limits it sets itself, and not the one that asked. It is run by its path and imports
nothing of the package, so that it starts quickly.

Arguments: a file; the names of attributes to read; how many objects the file may have, how many seconds of the
processor reading may take and how many bytes of address space. On stdout: one line of JSON, `{"groups": {path:
{attribute: [text, …]}}, "arrays": {path: {…}}}` or `{"error": text}`; then the bytes of the arrays that have no
`offset`, in this order. An array's entry has `type`, `shape` and, where its bytes lie in the file as they are,
`offset`; or `refused`, what it is instead of an array.
"""

import json
import sys
from typing import Any, BinaryIO

import h5py
import numpy as np

_MAX_RATIO = 1000  # bytes read to bytes stored


def limit(seconds: int, memory: int) -> None:
    """Bounds what this process may take from now on."""
    try:
        import resource
    except ImportError:  # no Unix
        return
    for kind, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        try:
            _, hard = resource.getrlimit(kind)
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        except (ValueError, OSError):  # a system that knows the limit and does not let it be set
            continue


class Listing:
    """Everything in a file, as far as it is told."""

    def __init__(self, names: list[str], most: int) -> None:
        self.groups: dict[str, dict[str, list[str]]] = {}
        self.arrays: dict[str, dict[str, Any]] = {}
        self.streamed: list[h5py.Dataset] = []
        self._names = names
        self._left = most
        self._most = most

    def add(self, group: h5py.Group, path: str, above: tuple[Any, ...] = ()) -> None:
        """Goes through a group and all below it."""
        if group.id in above:
            raise ValueError(f"the group {path!r} is within itself")
        self.groups[path] = self._attributes(group)
        for name in group:
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"it has more than {self._most} objects, which no model has")
            inner = f"{path}/{name}" if path else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                self.arrays[inner] = {"refused": "a link; expected the data itself"}
                continue
            node = group[name]
            if isinstance(node, h5py.Group):
                self.add(node, inner, (*above, group.id))
            elif isinstance(node, h5py.Dataset):
                self.arrays[inner] = self._array(node)

    def _array(self, node: h5py.Dataset) -> dict[str, Any]:
        if node.dtype.kind not in "fiub" or node.shape is None:
            return {"refused": "no array of numbers"}
        if node.external or node.is_virtual:
            return {"refused": "an array that lies in another file; expected it in this one"}
        stored = node.id.get_storage_size()
        if node.nbytes > _MAX_RATIO * max(stored, 1):
            return {"refused": f"an array that declares {node.nbytes} bytes and stores hardly any"}
        told = {"type": node.dtype.str, "shape": list(node.shape)}
        offset = node.id.get_offset()
        as_it_is = node.id.get_type() == h5py.h5t.py_create(node.dtype) and stored == node.nbytes
        if node.nbytes and (offset is None or not as_it_is):
            self.streamed.append(node)
            return told
        return told | {"offset": offset or 0}

    def _attributes(self, group: h5py.Group) -> dict[str, list[str]]:
        """Lists of names, each from one attribute or from its numbered parts, of bytes or text."""
        found = {}
        for name in self._names:
            parts, index = [name] if name in group.attrs else [], 0
            while parts != [name] and f"{name}{index}" in group.attrs:
                parts.append(f"{name}{index}")
                index += 1
            if parts:
                texts = [text for part in parts for text in np.asarray(group.attrs[part]).reshape(-1).tolist()]
                found[name] = [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in texts]
        return found


def listing_of(file: h5py.File, names: list[str], most: int) -> Listing:
    """Everything in an open file."""
    listing = Listing(names, most)
    listing.add(file, "")
    return listing


def tell(listing: Listing, out: BinaryIO) -> None:
    """Writes what the protocol says, of a file that is still open.

    An array that cannot be read ends the process: after the listing nothing but the bytes of arrays may be written.
    """
    out.write(json.dumps({"groups": listing.groups, "arrays": listing.arrays}).encode() + b"\n")
    for node in listing.streamed:
        array = np.empty(node.shape, node.dtype)
        node.read_direct(array)  # straight into it: `node[()]` takes twice as long
        out.write(array.reshape(-1).view(np.uint8).data)


if __name__ == "__main__":
    path, listed, *numbers = sys.argv[1:]
    most, seconds, memory = map(int, numbers)
    limit(seconds, memory)
    try:
        file = h5py.File(path, "r")
        listing = listing_of(file, [name for name in listed.split(",") if name], most)
    except Exception as error:  # a damaged file can raise anything
        reason = "it takes more memory than its size" if isinstance(error, MemoryError) else str(error)
        sys.stdout.buffer.write(json.dumps({"error": reason[:300]}).encode() + b"\n")
    else:
        tell(listing, sys.stdout.buffer)
    sys.stdout.buffer.flush()
