"""Zip files from strangers: what is checked before any byte of a member is used."""

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mae.errors import ConfigError

# Deflate itself ends at 1032 : 1, which only a run of one byte reaches; weights reach 1.1, graphs some 20.
MAX_RATIO = 1000
# All members together: no weights are packed so well, and a small zip may be up to a freely chosen size.
MAX_TOTAL_RATIO, FREE_TOTAL = 20, 64 << 20
MAX_MEMBERS = 20_000
_MAX_DIRECTORY = 8 << 20  # bytes; each row of it takes `zipfile` a hundred times its size of memory
_CHUNK = 4 << 20  # bytes between two updates of the checksum: small enough to be still in the cache
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@contextmanager
def open_zip(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """An open zip whose list of members passed `_check_members`.

    Raises:
        ConfigError: missing, no zip, damaged (also when found out inside the block), encrypted, or a zip bomb.
    """
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            yield archive
    except ConfigError:
        raise
    except FileNotFoundError as error:
        raise ConfigError(f"no file at {path}") from error
    except (*_DAMAGE, OSError) as error:
        raise ConfigError(f"{path} is damaged or no zip file ({error}); fetch it again") from error


def _check_directory(path: str | Path) -> None:
    """Refuses a list of members that is too long to be read, ahead of `zipfile`, which reads whatever is there."""
    with open(path, "rb") as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if end and (size := end[zipfile._ECD_SIZE]) > _MAX_DIRECTORY:  # type: ignore[attr-defined]
        raise ConfigError(f"{path} has a list of members of {size} bytes; expected at most {_MAX_DIRECTORY}")


def _check_members(path: str | Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuses what no honest writer makes. Sizes are the declared ones; reading never goes beyond them."""
    if len(members) > MAX_MEMBERS:
        raise ConfigError(f"{path} has {len(members)} members; expected at most {MAX_MEMBERS}")
    for member in members:
        name = repr(member.filename)
        if member.flag_bits & 0x1:
            raise ConfigError(f"{path}: member {name} is encrypted; expected a zip without a password")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ConfigError(
                f"{path}: member {name} uses compression method {member.compress_type}; expected stored or deflated"
            )
        if member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size:
            raise ConfigError(f"{path}: stored member {name} declares two different sizes")
        if member.file_size > MAX_RATIO * max(member.compress_size, 1):
            raise ConfigError(
                f"{path}: member {name} grows {member.compress_size} bytes to {member.file_size}, like a zip bomb; "
                f"expected at most {MAX_RATIO} times"
            )
    packed = sum(member.compress_size for member in members)
    size = os.path.getsize(path)
    if packed > size:
        raise ConfigError(f"{path}: its members declare {packed} bytes, more than the file has: damaged or a zip bomb")
    total = sum(member.file_size for member in members)
    if total > (most := max(MAX_TOTAL_RATIO * size, FREE_TOTAL)):
        raise ConfigError(f"{path}: its members unpack to {total} bytes, like a zip bomb; expected at most {most}")
    if len({member.filename for member in members}) != len(members):
        raise ConfigError(f"{path} has two members of one name")


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """The bytes of a member, checksum verified, as one uint8 array; stored members are read straight into it.

    To be called within `open_zip`, which turns damage into a `ConfigError`.
    """
    assert archive.filename is not None
    data = np.empty(member.file_size, np.uint8)
    if member.compress_type == zipfile.ZIP_STORED:
        _read_stored(archive.filename, member, data.data)
        return data
    position = 0
    with archive.open(member) as source:
        while chunk := source.read(_CHUNK):
            data[position : position + len(chunk)] = np.frombuffer(chunk, np.uint8)
            position += len(chunk)
    if position != member.file_size:
        raise zipfile.BadZipFile(f"member {member.filename!r} ends after {position} of {member.file_size} bytes")
    return data


def _read_stored(path: str, member: zipfile.ZipInfo, target: memoryview) -> None:
    with open(path, "rb", buffering=0) as file:
        file.seek(member.header_offset)
        magic, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        if magic != b"PK\x03\x04":
            raise zipfile.BadZipFile(f"member {member.filename!r} is not where the directory says")
        if file.read(name_length) not in (
            member.orig_filename.encode(),
            member.orig_filename.encode("cp437", "replace"),
        ):
            raise zipfile.BadZipFile(f"member {member.filename!r} has another name in the directory")
        file.seek(extra_length, os.SEEK_CUR)
        checksum = _read_with_checksum(file, target)
    if checksum != member.CRC:
        raise zipfile.BadZipFile(f"wrong checksum of member {member.filename!r}")


def _read_with_checksum(file: io.FileIO, target: memoryview) -> int:
    """Fills `target` and gives its CRC-32."""
    checksum = position = 0
    while position < len(target):
        read = file.readinto(target[position : position + _CHUNK])
        if not read:
            raise zipfile.BadZipFile(f"a member ends after {position} of {len(target)} bytes")
        checksum = zlib.crc32(target[position : position + read], checksum)
        position += read
    return checksum


def read_text(archive: zipfile.ZipFile, member: zipfile.ZipInfo, longest: int) -> bytes:
    """The bytes of a short member.

    Raises:
        ConfigError: it is longer than `longest`.
    """
    if member.file_size > longest:
        raise ConfigError(
            f"{archive.filename}: member {member.filename!r} has {member.file_size} bytes; expected at most {longest}"
        )
    return read_member(archive, member).tobytes()


def is_link(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a link or a device rather than a file or folder (as Unix zips record it)."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    return kind not in (0, stat.S_IFREG, stat.S_IFDIR)
