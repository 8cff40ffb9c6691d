"""Decodes one video from its first frame to its last, and finds out whether it can be sought in."""

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import cv2
import numpy as np

from mae.data.videos.file_key import file_key
from mae.data.videos.frame_directory import FrameDirectory
from mae.data.videos.opencv_video import LARGEST_CREDIBLE_COUNT, SEEK_BEFORE, OpenCVVideo, is_on_time, open_capture
from mae.data.videos.packed_video import PackedVideo, is_packed
from mae.data.videos.pyav_video import PyAVVideo
from mae.data.videos.scan_report import FRAMES, OPENCV, PACKED, PYAV, ScanReport
from mae.data.videos.video import EndOfVideo, Video, bad_if_decoding_fails
from mae.errors import BadVideo, one_line

SEEKS = 16  # tried per file
RUN = 4  # frames compared after each seek
ROWS = 64  # of a frame that its fingerprint covers, at least

IsStopped = Callable[[], bool]


class Stopped(Exception):
    """The scan is to end before the video does."""


def examine(path: str, is_stopped: IsStopped = lambda: False) -> ScanReport:
    """The report of a video file, a packed video or a directory of images.

    Whatever is wrong with it is in the report. Raises `Stopped` soon after `is_stopped` says so.
    """
    try:
        file_key(path)
        with bad_if_decoding_fails():
            if os.path.isdir(path):
                return _walk(lambda: FrameDirectory(path), ScanReport(decoder=FRAMES), is_stopped)
            if is_packed(path):
                return _walk(lambda: PackedVideo(path), ScanReport(decoder=PACKED, codec="jpeg"), is_stopped)
            return _examine_file(path, is_stopped)
    except BadVideo as error:
        return ScanReport(reason=one_line(error))
    except OSError as error:
        return ScanReport(reason=f"reading failed: {error.strerror or error}")


def _examine_file(path: str, is_stopped: IsStopped) -> ScanReport:
    """OpenCV first, as the reader does; PyAV where OpenCV opens or decodes nothing."""
    report, reason = ScanReport(), "no frame decodes"
    try:
        with closing(OpenCVVideo(path)) as video:
            opened = ScanReport(decoder=OPENCV, rate=video.frames_per_second, claimed=video.claimed_count)
    except BadVideo as error:
        reason = str(error)
    else:
        report = _examine_with_opencv(path, opened, is_stopped)
    if report.frames:
        return report
    try:
        with closing(PyAVVideo(path)) as other:
            found = ScanReport(decoder=PYAV, codec=other.codec)
        return _walk(lambda: PyAVVideo(path), found, is_stopped)
    except BadVideo as error:
        return replace(report, reason=one_line("; ".join(dict.fromkeys((reason, str(error))))))


def _walk(opened: Callable[[], Video], found: ScanReport, is_stopped: IsStopped) -> ScanReport:
    """Counts the frames, then turns each into pixels; raises `BadVideo` where that fails."""
    with closing(opened()) as video:
        claimed, rate = video.claimed_count, video.frames_per_second
        try:
            next(iter(video.frames(np.array([LARGEST_CREDIBLE_COUNT]))))
        except EndOfVideo as end:
            decoded = end.decoded
    if not decoded:
        raise BadVideo("no frame decodes")
    size = (0, 0)
    with closing(opened()) as video:
        for frame in video.frames(np.arange(decoded)):
            if is_stopped():
                raise Stopped
            size = size if any(size) else (frame.shape[1], frame.shape[0])
    return replace(found, width=size[0], height=size[1], rate=rate, claimed=claimed, frames=decoded)


def _examine_with_opencv(path: str, found: ScanReport, is_stopped: IsStopped) -> ScanReport:
    """As far as OpenCV gets; `frames` 0 where it decodes nothing."""
    prints: list[int] = []
    is_constant_rate, size, frame = True, (0, 0), None
    with _capture(path) as capture:
        found = replace(found, codec=_codec(capture), rotation=int(capture.get(cv2.CAP_PROP_ORIENTATION_META)))
        while capture.grab():
            if is_stopped():
                raise Stopped
            decoded, frame = capture.retrieve(frame)
            if not decoded or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
                raise BadVideo(f"frame {len(prints)} does not convert to 8-bit colour")
            is_constant_rate = is_constant_rate and is_on_time(capture, len(prints))
            size = size if prints else (frame.shape[1], frame.shape[0])
            prints.append(_fingerprint(frame))
    found = replace(found, width=size[0], height=size[1], frames=len(prints))
    if found.rate is None or not is_constant_rate:
        return found
    key_frames = _key_frames(path, len(prints))
    return replace(found, key_frames=key_frames) if _seeks_exactly(path, key_frames, prints, is_stopped) else found


def _key_frames(path: str, frames: int) -> tuple[int, ...]:
    """Where decoding may start: places of key frames in the file, which is where they are shown or a little before.

    Only a file whose packets are one frame each says so reliably; others give none.
    """
    indices, packets = [], 0
    options = [cv2.CAP_PROP_N_THREADS, 1, cv2.CAP_PROP_FORMAT, -1]  # packets as they are, not decoded
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, options)
    try:
        while capture.grab():
            if capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME):
                indices.append(packets)
            packets += 1
    finally:
        capture.release()
    return tuple(indices) if packets == frames else ()


def _seeks_exactly(path: str, key_frames: tuple[int, ...], prints: list[int], is_stopped: IsStopped) -> bool:
    """Whether seeks all over the file lead to the frames asked for, and decoding goes on from there as without them.

    A file in which no seek spares anything, or whose frames cannot be told from their neighbours, counts as one
    without.
    """
    targets = _targets(key_frames, len(prints))
    told = [number for number in targets if prints.count(prints[number]) == 1]
    if not targets or 2 * len(told) < len(targets):
        return False
    frame = None
    with _capture(path) as capture:
        for target in targets:
            capture.set(cv2.CAP_PROP_POS_FRAMES, target)
            for number in range(target, min(target + RUN, len(prints))):
                if is_stopped():
                    raise Stopped
                if not capture.grab() or not is_on_time(capture, number):
                    return False
                decoded, frame = capture.retrieve(frame)
                if not decoded or _fingerprint(frame) != prints[number]:
                    return False
    return True


def _targets(key_frames: tuple[int, ...], frames: int) -> list[int]:
    """Frames to seek: the last one, the first that each of some key frames serves, and others between them."""
    served = [key + SEEK_BEFORE for key in key_frames if key and key + SEEK_BEFORE < frames]
    if not served:
        return []
    some = [served[index] for index in np.linspace(0, len(served) - 1, min(SEEKS // 2, len(served)), dtype=int)]
    rest = np.linspace(served[0], frames - 1, SEEKS - len(some), dtype=int).tolist()
    # Back and forth, so that no seek profits from where the one before it ended.
    ascending = sorted({*some, *rest})
    return [*ascending[::2], *ascending[1::2][::-1]]


def _fingerprint(frame: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(frame[:: max(1, len(frame) // ROWS)]).data)


def _codec(capture: cv2.VideoCapture) -> str:
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    name = code.to_bytes(4, "little", signed=code < 0).decode("ascii", "replace")
    return name.strip("\0 ") if name.isprintable() else f"{code & 0xFFFFFFFF:#010x}"


@contextmanager
def _capture(path: str) -> Iterator[cv2.VideoCapture]:
    capture = open_capture(path)
    try:
        yield capture
    finally:
        capture.release()
