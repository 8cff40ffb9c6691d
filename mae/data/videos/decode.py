"""From a video file to the wanted frames, as RGB.

Files are decoded from their first frame on, never sought in: OpenCV's seeks hit other frames on variable-rate
files, MPEG-TS, live-muxed webm and packed B-frames. The frame count a file claims may exceed what decodes, too.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from mae.errors import BadVideo

LARGEST_CREDIBLE_COUNT = 10**7  # frames; live-muxed files claim ±10**17
FileKey = tuple[str, int, int]  # path, bytes, modification time in ns


def pin_threads() -> None:
    """One OpenCV thread per caller, in the whole process: clips are decoded side by side already."""
    cv2.setNumThreads(0)


def read_clip(path: str, choose: Callable[[int], np.ndarray]) -> np.ndarray:
    """Decodes the frames that `choose` picks.

    What is picked depends on the file alone: `choose` is asked with the claimed frame count, and once more with the
    real one where decoding ends before the last frame it wanted.

    Args:
        path: of a regular file; variable frame rate, rotation, odd sizes, 10 bit and grayscale are fine.
        choose: gives ascending frame numbers (T,), repeats allowed, for a frame count of at least 1.

    Returns:
        (T, H, W, 3) uint8 RGB, turned upright where the file says so. A frame whose size differs from that of the
        first wanted one is resized to it.

    Raises:
        BadVideo: no such file, or nothing in it decodes.
    """
    key = _file_key(path)
    try:
        return _read_clip(path, key, choose)
    except cv2.error as error:
        raise BadVideo(f"OpenCV failed: {error.err or 'no reason given'}") from error


def _read_clip(path: str, key: FileKey, choose: Callable[[int], np.ndarray]) -> np.ndarray:
    with _opened(path) as capture:
        wanted = _wanted(_claimed_count(capture), _real_counts.get(key), choose)
        clip, decoded = (None, _count(capture)) if wanted is None else _decode(capture, wanted)
    if clip is not None:
        return clip
    if decoded == 0:
        raise BadVideo("no frame decodes")
    _real_counts.put(key, decoded)
    with _opened(path) as capture:
        clip, again = _decode(capture, choose(decoded))
    if clip is None:
        raise BadVideo(f"{decoded} frames decoded at first, then only {again}")
    return clip


def _wanted(claimed: int | None, real: int | None, choose: Callable[[int], np.ndarray]) -> np.ndarray | None:
    """The frames to read; None where only decoding can tell how many there are.

    A known real count saves a futile pass but must not change the choice: a resumed run has not met the file yet.
    """
    if claimed is not None:
        wanted = choose(claimed)
        if real is None or wanted[-1] < real:
            return wanted
    return None if real is None else choose(real)


def _decode(capture: cv2.VideoCapture, wanted: np.ndarray) -> tuple[np.ndarray | None, int]:
    """The wanted frames as (T, H, W, 3) RGB and how many were decoded; None where the file ends before the last."""
    clip: np.ndarray | None = None
    place = 0
    for number in range(int(wanted[-1]) + 1):
        if not capture.grab():
            return None, number
        if number != wanted[place]:
            continue
        decoded, frame = capture.retrieve()
        if not decoded or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise BadVideo(f"frame {number} does not convert to 8-bit colour")
        if clip is None:
            clip = np.empty((len(wanted), *frame.shape), np.uint8)
        if frame.shape != clip.shape[1:]:  # the stream changed its resolution
            frame = cv2.resize(frame, (clip.shape[2], clip.shape[1]), interpolation=cv2.INTER_LINEAR)
        while place < len(wanted) and wanted[place] == number:
            # The one place where OpenCV's BGR becomes RGB.
            cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=clip[place])
            place += 1
    return clip, int(wanted[-1]) + 1


@contextmanager
def _opened(path: str) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise BadVideo("not a video that OpenCV can open")
        # Its default changed between OpenCV releases; as an argument of the constructor it is refused.
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        yield capture
    finally:
        capture.release()


def _claimed_count(capture: cv2.VideoCapture) -> int | None:
    """What the file says; None where that cannot be."""
    claimed = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(claimed) if 1 <= claimed <= LARGEST_CREDIBLE_COUNT else None


def _count(capture: cv2.VideoCapture) -> int:
    count = 0
    while capture.grab():
        count += 1
    return count


def _file_key(path: str) -> FileKey:
    """Identifies the content of a readable file; raises `BadVideo` with the reason where there is none."""
    try:
        path.encode()
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise BadVideo("a directory, not a file")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise BadVideo("not a regular file")
        with open(path, "rb"):
            pass
    except FileNotFoundError as error:
        raise BadVideo("missing") from error
    except PermissionError as error:
        raise BadVideo("permission denied") from error
    except OSError as error:
        raise BadVideo(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # an undecodable name, or a NUL in it
        raise BadVideo("its name is not valid UTF-8, which OpenCV needs") from error
    if status.st_size == 0:
        raise BadVideo("empty file")
    return path, status.st_size, status.st_mtime_ns


class _RealCounts:
    """Frame counts of the files whose claim was found wrong; the oldest are forgotten. Safe between threads."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._counts: dict[FileKey, int] = {}
        self._capacity = capacity
        self._lock = threading.Lock()

    def get(self, key: FileKey) -> int | None:
        with self._lock:
            return self._counts.get(key)

    def put(self, key: FileKey, count: int) -> None:
        with self._lock:
            self._counts[key] = count
            if len(self._counts) > self._capacity:
                del self._counts[next(iter(self._counts))]


_real_counts = _RealCounts()
