"""Arrays that NumPy wrote: `.npy`, and `.npz` with one array, or with one called `video`.

Nothing is unpickled. Of `.npy` and of `.npz` as `np.savez` writes them only the frames wanted are read;
`np.savez_compressed` has to be unpacked from its start to the last of them.
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from mae.data.videos.arrays.array_video import ArraySource
from mae.data.videos.arrays.frames_in_file import FramesInFile
from mae.errors import BadVideo, library_reason, some

NPY_START = b"\x93NUMPY"
MEMBER = "video"  # the array that is meant where a .npz holds several

_LOCAL = struct.Struct("<4s5H3L2H")  # the header of a member: signature … sizes of name and extra field
_DAMAGE = (OSError, ValueError, KeyError, TypeError, SyntaxError, EOFError, RuntimeError, struct.error, zlib.error)


def is_npz(start: bytes) -> bool:
    """Whether a file that begins so is a zip with an array in it."""
    if not start.startswith(b"PK\x03\x04") or len(start) < _LOCAL.size:
        return False
    *_, name_length, _ = _LOCAL.unpack_from(start)
    return start[_LOCAL.size : _LOCAL.size + name_length].endswith(b".npy")


def open_npy(path: str) -> ArraySource:
    """The array of a `.npy` file; raises `BadVideo` where there is none that can be a video."""
    with open(path, "rb") as file:
        shape, dtype, offset = _header(file)
    return FramesInFile(path, offset, shape, dtype)


def open_npz(path: str) -> ArraySource:
    """The array of a `.npz` file; raises `BadVideo` where it is damaged or it is not clear which is meant."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = _chosen(archive)
            with archive.open(member) as file:
                shape, dtype, offset = _header(file)
    except (*_DAMAGE, zipfile.BadZipFile) as error:
        raise BadVideo(f"a damaged .npz: {error}") from error
    if member.compress_type == zipfile.ZIP_STORED:
        return FramesInFile(path, _start_of(path, member) + offset, shape, dtype)
    return _CompressedFrames(path, member, offset, shape, dtype)


def _chosen(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(members) == 1:
        return next(iter(members.values()))
    if MEMBER not in members:
        raise BadVideo(f"{len(members)} arrays, {some(sorted(members), 4)}; expected one, or one called {MEMBER}")
    return members[MEMBER]


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and place of the numbers in an opened `.npy`."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_fortran, dtype = read(file)
    except _DAMAGE as error:
        raise BadVideo(f"no NumPy array: {library_reason(error)}") from error
    if dtype.hasobject:
        raise BadVideo("an array of Python objects, which are not unpickled; expected numbers")
    if is_fortran and len(shape) > 1:
        raise BadVideo(
            f"an array of {shape} in Fortran's order, in which a frame lies all over the file; expected C's: save "
            "np.ascontiguousarray(…)"
        )
    return shape, dtype, file.tell()


def _start_of(path: str, member: zipfile.ZipInfo) -> int:
    """Where the content of a stored member begins."""
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        raw = file.read(_LOCAL.size)
    if len(raw) < _LOCAL.size:
        raise BadVideo(f"a damaged .npz: no {member.filename} where it should be")
    *_, name_length, extra_length = _LOCAL.unpack(raw)
    return member.header_offset + _LOCAL.size + name_length + extra_length


class _CompressedFrames:
    """See `ArraySource`; frames are unpacked one after the other, and those not wanted are let go."""

    frames_per_second: float | None = None
    low_is_bright = False

    def __init__(
        self, path: str, member: zipfile.ZipInfo, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self._in_file, self._offset = dtype, offset
        self._frame_bytes = int(np.prod(shape[1:], dtype=object)) * dtype.itemsize
        told = offset + (shape[0] * self._frame_bytes if shape else 0)
        if member.file_size < told:
            raise BadVideo(f"truncated: {member.file_size} bytes of an array of {shape} {dtype}, expected {told}")
        self._archive = zipfile.ZipFile(path)
        self._file = self._archive.open(member)

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        for number in numbers:
            try:
                self._file.seek(self._offset + number * self._frame_bytes, os.SEEK_SET)
                content = self._file.read(self._frame_bytes)
            except (*_DAMAGE, zipfile.BadZipFile) as error:
                raise BadVideo(f"frame {number} does not unpack: {error}") from error
            if len(content) < self._frame_bytes:
                raise BadVideo(f"frame {number}: {len(content)} bytes, expected {self._frame_bytes}")
            yield np.frombuffer(content, self._in_file).reshape(self.shape[1:])

    def close(self) -> None:
        self._file.close()
        self._archive.close()
