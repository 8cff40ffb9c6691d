"""Shards: many packed videos in one file, each of which is read by itself.

A shard is a zip of packed videos, stored and not compressed: unpacked, it is the folder that `mae.data.pack` writes
without shards. A video in it is named as if the shard were a folder: `shard-00012.zip/walk/a.mp4.zip`.
"""

import hashlib
import io
import os
import re
import struct
import threading
import zipfile
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mae.errors import BadVideo

SHARD_NAME = re.compile(r"shard-.+\.zip")  # of files that folders are looked through for; others are told when opened

_INTO_ZIP = re.compile(rf"\.zip{re.escape(os.sep)}", re.IGNORECASE)
_LOCAL = struct.Struct("<4s5H3L2H")  # of a member: signature … sizes of name and extra field
_CHUNK = 1 << 22  # bytes
_LONGEST_NAME = 1 << 12  # bytes, of a path
_LOCAL_SIGNATURE = b"PK\x03\x04"
# What `zipfile` raises for a damaged directory; RuntimeError for kinds of zip it does not know.
_DAMAGE = (ValueError, KeyError, RuntimeError, OverflowError, struct.error, zipfile.BadZipFile)


class Stretch(NamedTuple):
    """Where the bytes of a video are."""

    file: str
    start: int  # of the bytes; in a shard, of the header before them
    size: int  # bytes of the video
    modified_ns: int  # of the file


@dataclass(frozen=True)
class _Directory:
    """What a shard holds, in 24 bytes a video: ten million names in Python would be gigabytes."""

    state: tuple[int, int]  # bytes and time of change of the file when it was read
    digests: np.ndarray  # (n,) uint64 of the names, ascending
    offsets: np.ndarray  # (n,) uint64, of the local headers
    sizes: np.ndarray  # (n,) uint64, bytes


def split_shard(path: str) -> tuple[str, str] | None:
    """The shard that a path leads into and the name of the video in it; None where there is no such file."""
    for found in _INTO_ZIP.finditer(path):
        shard = path[: found.end() - 1]
        if shard in _directories or os.path.isfile(shard):
            return shard, path[found.end() :]
    return None


def without_shard(path: str) -> str:
    """A path relative to a folder as it would be if its shards were unpacked there."""
    folder, _, name = path.rpartition("/")
    parts = folder.split("/")
    return "/".join([*(part for part in parts if part and not SHARD_NAME.fullmatch(part)), name])


def begins_shard(start: bytes) -> bool:
    """Whether a file that begins so is a zip whose first member is a zip or a folder: packed videos have frames."""
    if len(start) < _LOCAL.size or not start.startswith(_LOCAL_SIGNATURE):
        return False
    *_, name_length, _ = _LOCAL.unpack_from(start)
    return start[_LOCAL.size : _LOCAL.size + name_length].lower().endswith((b".zip", b"/"))


def is_shard(path: str) -> bool:
    """Whether a file is a shard, by its ending and its first member."""
    # Not opened is what is no file: a pipe would wait for ever.
    if not path.lower().endswith(".zip") or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return begins_shard(file.read(_LOCAL.size + _LONGEST_NAME))
    except OSError:
        return False


def stretch_of(path: str) -> Stretch:
    """Where a video file is, or a packed video in a shard.

    The directory of a shard is read once in a process, and again where the file has changed.

    Raises:
        OSError: there is none.
        BadVideo: its shard is damaged, or does not hold it.
    """
    inside = split_shard(path)
    if inside is None:
        status = os.stat(path)
        return Stretch(path, 0, status.st_size, status.st_mtime_ns)
    shard, name = inside
    directory = _directory(shard)
    digest = _digest(name)
    row = int(np.searchsorted(directory.digests, digest))
    if row == len(directory.digests) or directory.digests[row] != digest:
        raise BadVideo(f"missing: there is no {name} in {os.path.basename(shard)}")
    return Stretch(shard, int(directory.offsets[row]), int(directory.sizes[row]), directory.state[1])


def names_in(shard: str) -> list[str]:
    """Of the videos in a shard, in the order of the file.

    Raises:
        BadVideo: it is damaged, it holds none, or something in it is compressed.
    """
    names = [info.filename for info in _members(shard) if info.filename.lower().endswith(".zip")]
    if not names:
        raise BadVideo(f"{os.path.basename(shard)} is a zip without packed videos in it")
    return names


class StoredFile(io.RawIOBase):
    """The bytes of a video, be they a file or a part of a shard, for one thread.

    Raises:
        OSError: the file cannot be opened.
        BadVideo: as `stretch_of`, or the shard has something else in the video's place.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        stretch = stretch_of(path)
        self.size = stretch.size
        self._start, self._position = stretch.start, 0
        self._file = os.open(stretch.file, os.O_RDONLY)
        try:
            if stretch.file != path:
                self._start += self._header_size(stretch, path[len(stretch.file) + 1 :])
        except BaseException:
            self.close()
            raise

    def read_at(self, count: int, offset: int) -> bytes:
        """So many bytes, or fewer at the end; raises `OSError`."""
        return os.pread(self._file, max(min(count, self.size - offset), 0), self._start + offset)

    def _header_size(self, stretch: Stretch, name: str) -> int:
        """Bytes before a member's own, once its header is seen to be there."""
        expected = os.fsencode(name)
        header = os.pread(self._file, _LOCAL.size + len(expected), stretch.start)
        if len(header) < _LOCAL.size or not header.startswith(_LOCAL_SIGNATURE) or header[_LOCAL.size :] != expected:
            raise BadVideo(f"{os.path.basename(stretch.file)} is damaged: something else is where {name} should be")
        *_, name_length, extra_length = _LOCAL.unpack_from(header)
        return _LOCAL.size + name_length + extra_length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self.read_at(len(buffer), self._position)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()


def content_sha256(*paths: str) -> str:
    """As `mae.files.sha256`, of files and of videos in shards; raises as `StoredFile`."""
    digest = hashlib.sha256()
    for path in paths:
        with StoredFile(path) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _directory(shard: str) -> _Directory:
    status = os.stat(shard)
    state = status.st_size, status.st_mtime_ns
    known = _directories.get(shard)
    if known is not None and known.state == state:
        return known
    with _reading:  # threads that want the same one wait for the first
        known = _directories.get(shard)
        if known is None or known.state != state:
            _directories[shard] = known = _read(shard, state)
    return known


def _read(shard: str, state: tuple[int, int]) -> _Directory:
    members = _members(shard)
    digests = np.array([_digest(info.filename) for info in members], np.uint64)
    order = np.argsort(digests)
    digests = digests[order]
    if (digests[1:] == digests[:-1]).any():
        raise BadVideo(f"{os.path.basename(shard)} is damaged: it holds two videos of one name")
    offsets = np.array([info.header_offset for info in members], np.uint64)
    sizes = np.array([info.file_size for info in members], np.uint64)
    return _Directory(state, digests, offsets[order], sizes[order])


def _members(shard: str) -> list[zipfile.ZipInfo]:
    name = os.path.basename(shard)
    try:
        with zipfile.ZipFile(shard) as archive:
            infos = archive.infolist()
    except OSError as error:
        raise BadVideo(f"{name} cannot be read: {error.strerror or error}") from error
    except _DAMAGE as error:
        raise BadVideo(f"{name} is damaged: {error}") from error
    # Of a shard that is cut, `zipfile` takes the directory of the last video in it for its own.
    if min((info.header_offset for info in infos), default=0) != 0:
        raise BadVideo(f"{name} is damaged: its end is missing")
    members = [info for info in infos if not info.is_dir()]
    compressed = next((info.filename for info in members if info.compress_type != zipfile.ZIP_STORED), None)
    if compressed is not None:
        raise BadVideo(f"{compressed} in {name} is compressed; make the shard without (zip -0)")
    return members


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest(), "little")


_directories: dict[str, _Directory] = {}
_reading = threading.Lock()
