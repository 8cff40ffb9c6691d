"""Packed videos: all frames of a video as JPEG in one zip, of which only those of a clip are read.

`mae.data.pack` writes them; any tool for zip files opens them. Members are stored, not compressed: `000000.jpg`,
`000001.jpg` … and `video.json` at the end.
"""

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

import numpy as np

from mae.data.videos.decoding import RGB, Decoding
from mae.data.videos.frame_directory import decoded_picture
from mae.data.videos.shards import StoredFile
from mae.data.videos.video import EndOfVideo
from mae.errors import BadVideo

MANIFEST = "video.json"
FORMAT = "mae-video frames"
VERSION = 2  # 1: frames as OpenCV decoded them, which were wrong for interlaced files, some reflections and colours

_ZIP_START = b"PK\x03\x04"
_LOCAL = struct.Struct("<4s5H3L2H")  # signature … sizes of name and extra field
_END = struct.Struct("<4s4H2LH")  # signature, disks, members here and in all, size and place of the directory, comment
# Before it in a zip of more than 65,535 members or with its directory beyond 2 GiB: record, then where the record is.
_END_64 = struct.Struct("<4sQ2H2L4Q4sLQL")  # signature, …, disks, members, size and place of the directory; locator
_NAME_LENGTH = 10
# One entry of the central directory as `mae.data.pack` writes them, so that NumPy reads the whole directory at once.
_ENTRY = np.dtype([
    ("signature", "S4"), ("versions", "<u4"), ("flags", "<u2"), ("compression", "<u2"), ("time", "<u4"),
    ("crc", "<u4"), ("compressed", "<u4"), ("size", "<u4"), ("name_length", "<u2"), ("extra_length", "<u2"),
    ("comment_length", "<u2"), ("disk", "<u2"), ("attributes", "S6"), ("offset", "<u4"), ("name", f"S{_NAME_LENGTH}"),
])  # fmt: skip
# The same of a member beyond 2 GiB, whose place is in an extra field.
_FAR_ENTRY = np.dtype([*_ENTRY.descr, ("extra", "S4"), ("far_offset", "<u8")])
_FAR_EXTRA = struct.pack("<2H", 1, 8)  # kind and size of that field

# What reading a damaged zip or manifest raises; `zipfile` raises RuntimeError for kinds of zip it does not know.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError, struct.error, zipfile.BadZipFile)


class _Member(NamedTuple):
    name: str
    offset: int  # of its local header
    size: int
    crc: int


def member_name(number: int) -> str:
    """Of the frame of that number: `000012.jpg`."""
    return f"{number:06d}.jpg"


def is_packed(start: bytes) -> bool:
    """Whether a file that begins so is a zip, or begins with the name of a first frame.

    FFmpeg finds JPEGs in whatever holds them: a zip with a damaged start must not get there.
    """
    start = start[: _LOCAL.size + _NAME_LENGTH]
    return start.startswith(_ZIP_START) or start[_LOCAL.size :] == member_name(0).encode()


class PackedVideo:
    """See `mae.data.videos.video.Video`.

    Raises:
        BadVideo: a damaged zip, or one that `mae.data.pack` has not written.
    """

    def __init__(self, path: str, decoding: Decoding = RGB) -> None:
        decoding.refuse_colours()
        self._decoding = decoding
        try:
            self._file = StoredFile(path)
        except OSError as error:
            raise BadVideo(f"cannot be read: {error.strerror}") from error
        try:
            self._members = _own_members(self._file) or _any_members(self._file)
            self._count = len(self._members) - 1
            self._frames_per_second = self._manifest()["frames_per_second"]
        except BaseException as error:
            self.close()
            if isinstance(error, _DAMAGE):
                raise BadVideo(f"a damaged or foreign zip: {error}") from error
            raise

    @property
    def claimed_count(self) -> int | None:
        return self._count

    @property
    def frames_per_second(self) -> float | None:
        return self._frames_per_second

    def frames(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        for number in wanted.tolist():
            if number >= self._count:
                raise EndOfVideo(self._count)
            member = self._members[number]
            content = np.frombuffer(self._read(member), np.uint8)
            frame = decoded_picture(content, self._decoding)
            if frame is None:
                raise BadVideo(f"{member.name} in the zip is no JPEG")
            yield frame

    def close(self) -> None:
        self._file.close()

    def _manifest(self) -> dict[str, Any]:
        """`video.json`, checked against the members."""
        last = self._members[self._count]
        if last.name != MANIFEST:
            raise BadVideo(f"a zip that mae.data.pack has not written: it has no {MANIFEST} behind its frames")
        about = json.loads(self._read(last))
        rate = about["frames_per_second"]
        if about["format"] != FORMAT or about["version"] > VERSION:
            raise BadVideo(f"a zip of another program or a later version: {about['format']} {about['version']}")
        if about["version"] < VERSION:
            raise BadVideo("packed by an earlier version, whose decoder got some videos wrong: pack it again")
        if about["count"] != self._count or self._count < 1:
            raise BadVideo(f"the zip holds {self._count} frames, {MANIFEST} says {about['count']}")
        if rate is not None and not (isinstance(rate, int | float) and math.isfinite(rate) and rate > 0):
            raise BadVideo(f"{rate} frames per second in {MANIFEST}")
        return about

    def _read(self, member: _Member) -> bytes:
        """The content of a member, its checksum compared."""
        try:
            content = self._content(member)
        except OSError as error:
            raise BadVideo(f"{member.name} in the zip cannot be read: {error.strerror}") from error
        if content is None or zlib.crc32(content) != member.crc:
            raise BadVideo(f"{member.name} in the zip is damaged")
        return content

    def _content(self, member: _Member) -> bytes | None:
        """What stands at the place of a member; None where its header is not there."""
        expected = _LOCAL.size + len(member.name)
        # A damaged directory may ask for gigabytes.
        if member.offset < 0 or member.offset + expected + member.size > self._file.size:
            return None
        raw = self._file.read_at(expected + member.size, member.offset)
        if len(raw) < expected + member.size:  # the file has been cut since it was opened
            return None
        signature, *_, name_length, extra_length = _LOCAL.unpack_from(raw)
        if signature != _ZIP_START:
            return None
        start = _LOCAL.size + name_length + extra_length
        return raw[start:] if start == expected else self._file.read_at(member.size, member.offset + start)


class _Members:
    """Members of a directory that was checked as a whole, made when they are asked for.

    Args:
        near, far: entries of the members before and after 2 GiB.
    """

    def __init__(self, near: np.ndarray, far: np.ndarray) -> None:
        self._near = near
        self._far = far

    def __len__(self) -> int:
        return len(self._near) + len(self._far)

    def __getitem__(self, place: int) -> _Member:
        is_near = place < len(self._near)
        entry = self._near[place] if is_near else self._far[place - len(self._near)]
        offset = entry["offset"] if is_near else entry["far_offset"]
        return _Member(entry["name"].decode(), int(offset), int(entry["size"]), int(entry["crc"]))


def _own_members(file: StoredFile) -> _Members | None:
    """The members of a zip as `mae.data.pack` writes it; None where another tool has written it.

    `zipfile` takes a second for the directory of a film, and would for every clip of it.
    """
    count, size, place = _directory_place(file)
    near = count - (size - count * _ENTRY.itemsize) // (_FAR_ENTRY.itemsize - _ENTRY.itemsize)
    near_size = near * _ENTRY.itemsize
    if not 0 <= near <= count or near_size + (count - near) * _FAR_ENTRY.itemsize != size or place + size > file.size:
        return None
    raw = file.read_at(size, place)
    if len(raw) != size or not count:
        return None
    first, rest = np.frombuffer(raw, _ENTRY, near), np.frombuffer(raw, _FAR_ENTRY, count - near, near_size)
    names = _names(count - 1)  # the last one's is compared where it is read
    is_own = (
        _are_plain(first, 0, names[:near])
        and _are_plain(rest, _FAR_ENTRY.itemsize - _ENTRY.itemsize, names[near:])
        and (rest["extra"] == _FAR_EXTRA).all()
    )
    return _Members(first, rest) if is_own else None


def _directory_place(file: StoredFile) -> tuple[int, int, int]:
    """Members, bytes and place of the directory; no members where the zip ends otherwise than we write it."""
    tail = file.read_at(_END_64.size + _END.size, max(file.size - _END_64.size - _END.size, 0))
    if len(tail) < _END.size:
        return 0, 0, 0
    signature, *_, count, size, place, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\x05\x06" or comment:
        return 0, 0, 0
    if tail[-_END.size - 20 :].startswith(b"PK\x06\x07") and len(tail) == _END_64.size + _END.size:
        signature, *_, count, size, place, _, _, _, _ = _END_64.unpack(tail[: _END_64.size])
        if signature != b"PK\x06\x06":
            return 0, 0, 0
    return count, size, place


def _are_plain(entries: np.ndarray, extra_length: int, names: np.ndarray) -> bool:
    """Whether these are stored members of these names; one more of any name may follow."""
    return bool(
        (entries["signature"] == b"PK\x01\x02").all()
        and (entries["name_length"] == _NAME_LENGTH).all()
        and not entries["compression"].any()
        and (entries["extra_length"] == extra_length).all()
        and not entries["comment_length"].any()
        and (entries["compressed"] == entries["size"]).all()
        and (entries["name"][: len(names)] == names).all()
    )


def _any_members(file: StoredFile) -> list[_Member]:
    """The members of any zip: the frames in order, then the manifest."""
    with zipfile.ZipFile(cast(IO[bytes], file)) as archive:
        infos = {info.filename: info for info in archive.infolist()}
    manifest = infos.pop(MANIFEST, None)
    if manifest is None:
        raise BadVideo(f"a zip that mae.data.pack has not written: it has no {MANIFEST}")
    unexpected = sorted(infos.keys() - {member_name(number) for number in range(len(infos))})
    if unexpected:
        raise BadVideo(f"the zip holds {unexpected[0]}; expected {member_name(0)} … and {MANIFEST}")
    ordered = [*(infos[member_name(number)] for number in range(len(infos))), manifest]
    compressed = [info.filename for info in ordered if info.compress_type != zipfile.ZIP_STORED]
    if compressed:
        raise BadVideo(f"{compressed[0]} in the zip is compressed; make it without (zip -0)")
    return [_Member(info.filename, info.header_offset, info.file_size, info.CRC) for info in ordered]


def _names(count: int) -> np.ndarray:
    """The names of the first frames, (count,) bytes."""
    global _some_names
    names = _some_names  # another thread may put a shorter list there
    if len(names) < count:
        _some_names = names = np.array([member_name(number) for number in range(2 * count)], f"S{_NAME_LENGTH}")
    return names[:count]


_some_names = np.array([member_name(number) for number in range(512)], f"S{_NAME_LENGTH}")
