"""Writing a packed video, which `mae.data.videos.packed_video` reads."""

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

import cv2
import numpy as np

from mae.data.videos.frame_directory import frame_names
from mae.data.videos.frame_series import split_pattern
from mae.data.videos.kinds import ARRAYS, kind_of
from mae.data.videos.packed_video import FORMAT, MANIFEST, VERSION, member_name
from mae.data.videos.read import open_video
from mae.data.videos.shards import StoredFile, content_sha256, split_shard, stretch_of
from mae.data.videos.video import EndOfVideo, Video, bad_if_decoding_fails
from mae.errors import BadVideo
from mae.files import replacing

MOST_FRAMES = 10**6  # names have six digits
_OF_DAMAGED_ZIPS = (ValueError, KeyError, TypeError, EOFError, RuntimeError)  # of `zipfile` and of what it reads


@dataclass(frozen=True)
class Pictures:
    """How the frames are kept."""

    short_side: int  # pixels; larger frames are made smaller, smaller ones stay
    quality: int  # of JPEG, 1 to 100


@dataclass(frozen=True)
class Source:
    """The video a packed one was made from, as far as its file system knows it."""

    name: str
    bytes: int
    modified_ns: int


@dataclass(frozen=True)
class Packed:
    """What one packed video has become."""

    frames: int
    bytes_in: int
    bytes_out: int


def write_packed(path: str, target: Path, pictures: Pictures, check: Callable[[], None] = lambda: None) -> Packed:
    """Writes all frames that training would see of a video, upright: as many as its file claims and as decode.

    `check` is called before every frame and may raise to give up. Either the whole file is written or nothing.

    Raises:
        BadVideo: the video cannot be read, or changed meanwhile.
        OSError: the target cannot be written.
    """
    source = source_of(path)
    with replacing(target) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            about = _write_frames(path, archive, pictures, check)
            about["source"] = {**asdict(source), "sha256": _checksum(path)}
            if source_of(path) != source:
                raise BadVideo("the file changed while it was packed")
            archive.writestr(zipfile.ZipInfo(MANIFEST), json.dumps(about))
        written = temporary.stat().st_size
    return Packed(about["count"], source.bytes, written)


def packed_before(path: str, target: Path, pictures: Pictures) -> Packed | None:
    """What an earlier call has written, if it was made from this very file in this very way; None otherwise.

    `target` may lead into a shard.
    """
    try:
        with StoredFile(str(target)) as file, zipfile.ZipFile(cast(IO[bytes], file)) as archive:
            size = file.size
            *frames, last = archive.namelist()
            about = json.loads(archive.read(last)) if last == MANIFEST else {}
        source = source_of(path)
        is_same = (
            (about["format"], about["version"], about["count"]) == (FORMAT, VERSION, len(frames))
            and frames == [member_name(number) for number in range(len(frames))]
            and {name: about[name] for name in asdict(pictures)} == asdict(pictures)
            and {name: about["source"][name] for name in asdict(source)} == asdict(source)
        )
    except (OSError, BadVideo, zipfile.BadZipFile, *_OF_DAMAGED_ZIPS):
        return None  # not there, damaged, or of something else: written anew
    return Packed(len(frames), source.bytes, size) if is_same else None


def source_of(path: str) -> Source:
    """Of a directory of frames, the sum of the sizes and the latest change.

    Raises:
        BadVideo: there is nothing at the path.
    """
    try:
        stretches = [stretch_of(file) for file in _files(path)]
        newest = max((stretch.modified_ns for stretch in stretches), default=0)
        return Source(os.path.basename(path), sum(stretch.size for stretch in stretches), newest)
    except FileNotFoundError as error:
        raise BadVideo("missing") from error
    except OSError as error:
        raise BadVideo(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise BadVideo("its name is not one of a file") from error


def _write_frames(path: str, archive: zipfile.ZipFile, pictures: Pictures, check: Callable[[], None]) -> dict[str, Any]:
    """Writes the members for the frames; returns the manifest but for the source."""
    if kind_of(path) in ARRAYS:
        raise BadVideo("an array, of which single frames are read as they are: a packed one would hold 8-bit JPEGs")
    with bad_if_decoding_fails(), open_video(path) as video:
        return _write_all(video, archive, pictures, check)


def _write_all(video: Video, archive: zipfile.ZipFile, pictures: Pictures, check: Callable[[], None]) -> dict[str, Any]:
    count, size = 0, (0, 0)
    for frame in _every_frame(video):
        check()
        if count == MOST_FRAMES:
            raise BadVideo(f"more than {MOST_FRAMES} frames; cut it into parts")
        height, width = frame.shape[:2]
        size = size if count else _size_kept(height, width, pictures.short_side)
        if (height, width) != size:
            frame = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
        in_order = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)  # as OpenCV has them
        encoded, content = cv2.imencode(".jpg", in_order, [cv2.IMWRITE_JPEG_QUALITY, pictures.quality])
        if not encoded:
            raise BadVideo(f"frame {count} of {size[1]} x {size[0]} pixels cannot be a JPEG")
        archive.writestr(zipfile.ZipInfo(member_name(count)), content.data)
        count += 1
    if not count:
        raise BadVideo("no frame decodes")
    return {
        "format": FORMAT,
        "version": VERSION,
        "frames_per_second": video.frames_per_second,
        "count": count,
        "width": size[1],
        "height": size[0],
        **asdict(pictures),
    }


def _every_frame(video: Video) -> Iterator[np.ndarray]:
    """The frames that training would see: what a file holds beyond its claim is never asked for."""
    claimed = video.claimed_count or MOST_FRAMES + 1
    try:
        yield from video.frames(np.arange(min(claimed, MOST_FRAMES + 1)))
    except EndOfVideo:
        return


def _size_kept(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width of a picture whose short side is at most `short_side`; its aspect to half a pixel."""
    short = min(height, width)
    if short <= short_side:
        return height, width
    return round(height * short_side / short), round(width * short_side / short)


def _files(path: str) -> list[str]:
    """The file, or those of the pictures in a directory that are meant, sorted."""
    if split_shard(path) is not None:
        return [path]
    directory, pattern = split_pattern(path)
    if not os.path.isdir(directory):
        return [path]
    return [os.path.join(directory, name) for name in sorted(frame_names(directory, pattern))]


def _checksum(path: str) -> str:
    """sha256 of a file; of a directory, that of all of its files one after the other."""
    try:
        return content_sha256(*_files(path))
    except OSError as error:
        raise BadVideo(f"cannot be read: {error.strerror}") from error
