"""The kinds of file that hold a video, a row each: begin here to read another one."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from mae.data.videos.arrays.array_video import ArraySource, ArrayVideo
from mae.data.videos.arrays.dicom import DICOM_START, PREAMBLE, open_dicom
from mae.data.videos.arrays.numpy_files import NPY_START, is_npz, open_npy, open_npz
from mae.data.videos.arrays.tiff import TIFF_STARTS, open_tiff
from mae.data.videos.decoding import Decoding
from mae.data.videos.file_key import file_key
from mae.data.videos.frame_directory import FrameDirectory, is_frame_directory
from mae.data.videos.opencv_video import OpenCVVideo
from mae.data.videos.packed_video import PackedVideo, is_packed
from mae.data.videos.pyav_video import PyAVVideo
from mae.data.videos.scan_cache import scanned
from mae.data.videos.shards import begins_shard, split_shard
from mae.data.videos.video import Video
from mae.errors import BadVideo

_START_BYTES = 256  # of a file, by which it is told


@dataclass(frozen=True)
class Kind:
    """What holds a video, told by its content, and by its name where a file is damaged."""

    name: str  # as the report of a scan has it
    holds: Callable[[str, bytes], bool]  # of a path and the first bytes of its file; none of a directory
    open: Callable[[str, Decoding], Video]  # raises `BadVideo` where it cannot be opened


def _array(
    name: str, endings: tuple[str, ...], is_one: Callable[[bytes], bool], source: Callable[[str], ArraySource]
) -> Kind:
    """The kind of a file that holds an array."""

    def holds(path: str, start: bytes) -> bool:
        return is_one(start) or path.lower().endswith(endings)

    return Kind(name, holds, lambda path, decoding: ArrayVideo(source(path), decoding))


def _open_video_file(path: str, decoding: Decoding) -> Video:
    if decoding.decoder == "opencv":
        return OpenCVVideo(path, decoding)
    report = scanned(file_key(path))
    return PyAVVideo(path, () if report is None else report.key_frames, decoding)


FRAMES = Kind("frames", lambda path, _: is_frame_directory(path), FrameDirectory)
PACKED = Kind("packed", lambda _, start: is_packed(start), PackedVideo)
VIDEO_FILE = Kind("PyAV", lambda path, _: True, _open_video_file)
ARRAYS = (
    _array("npy", (".npy",), lambda start: start.startswith(NPY_START), open_npy),
    _array("npz", (".npz",), is_npz, open_npz),
    _array("tiff", (".tif", ".tiff"), lambda start: start.startswith(TIFF_STARTS), open_tiff),
    _array("dicom", (".dcm",), lambda start: start[PREAMBLE:].startswith(DICOM_START), open_dicom),
)
KINDS = (FRAMES, *ARRAYS, PACKED, VIDEO_FILE)  # the first that holds it is meant


def kind_of(path: str) -> Kind:
    """What holds the video at a path; raises `BadVideo` where it cannot be read, or is a shard of many."""
    if split_shard(path) is not None:
        return PACKED  # shards hold nothing else
    try:
        start = b"" if is_frame_directory(path) else first_bytes(path)
    except OSError as error:  # it went away since it was asked for its key
        raise BadVideo(f"cannot be read: {error.strerror}") from error
    kind = next(kind for kind in KINDS if kind.holds(path, start))
    if kind is PACKED and begins_shard(start):
        raise BadVideo(f"a shard of many packed videos; one of them is {os.path.basename(path)}/NAME")
    return kind


def first_bytes(path: str) -> bytes:
    """The beginning of a file, by which its kind is told."""
    with open(path, "rb") as file:
        return file.read(_START_BYTES)
