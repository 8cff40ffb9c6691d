"""From a path to pieces of the wanted frames, as RGB, whatever kind of video it is."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from mae.data.videos.file_key import FileKey, file_key
from mae.data.videos.frame_directory import FrameDirectory
from mae.data.videos.opencv_video import LARGEST_CREDIBLE_COUNT, OpenCVVideo
from mae.data.videos.packed_video import PackedVideo, is_packed
from mae.data.videos.pyav_video import PyAVVideo
from mae.data.videos.real_counts import RealCounts
from mae.data.videos.scan_cache import scanned
from mae.data.videos.time_limit import within
from mae.data.videos.video import EndOfVideo, Video, bad_if_decoding_fails
from mae.errors import BadVideo, one_line

Choose = Callable[[int], np.ndarray]
Views = Callable[[int, np.ndarray], list[np.ndarray]]
Segment = tuple[float, float]


@dataclass(frozen=True)
class Frames:
    """What was read: `numbers` (k,), ascending and distinct, and the views of each of these frames, RGB."""

    numbers: np.ndarray
    views: list[list[np.ndarray]]


def pin_threads() -> None:
    """One OpenCV thread per caller, in the whole process: clips are decoded side by side already."""
    cv2.setNumThreads(0)


def keep_freed_memory() -> None:
    """Has the memory of one clip used again for the next one, in the whole process, up to 64 MB.

    glibc returns freed blocks to the system at once, and getting them again page by page took a quarter of the time of
    a packed clip. It stops doing so for blocks up to the size of the largest that was ever freed, 32 MB at most; this
    one is never touched, so it costs nothing. Other C libraries have rules of their own.
    """
    np.empty(31 << 20, np.uint8)


def read_frames(
    path: str,
    choose: Choose,
    views: Views,
    segment: Segment | None = None,
    timeout_s: float | None = None,
) -> Frames:
    """Decodes the frames that `choose` picks, and keeps what `views` cuts out of each.

    What is picked depends on the file alone: `choose` is asked with the claimed frame count, and once more with the
    real one where decoding ends before the last frame it wanted. What a scan or an earlier reading found out makes
    reading faster, but changes no clip.

    Args:
        path: of a video file, a packed video, or a directory of images. Variable frame rate, rotation, odd sizes,
            10 bit and grayscale are fine.
        choose: gives ascending frame numbers, repeats allowed, for a frame count of at least 1.
        views: gives pieces of a frame, from its index among the distinct chosen ones and its pixels, (H, W, 3) uint8
            BGR, upright, valid during the call. A frame whose size differs from the first one's is resized to it.
        segment: seconds; the frames round(start · rate) up to round(end · rate) are all there is.
        timeout_s: seconds that all of it may take; None: any.

    Raises:
        BadVideo: no such file, nothing in it decodes, or not in time.
    """
    read = partial(_read, path, choose, views, segment)
    if timeout_s is None:
        return read()
    try:
        return within(timeout_s, read)
    except TimeoutError as error:
        raise BadVideo(f"not decoded within {timeout_s:g} s") from error


@contextmanager
def open_video(path: str) -> Iterator[Video]:
    """The video at a path, opened by the first decoder that can.

    Raises:
        BadVideo: no decoder can.
    """
    reasons: list[str] = []
    for opener in _openers(path, file_key(path)):
        try:
            video = opener()
        except BadVideo as error:
            reasons.append(str(error))
            continue
        with closing(video):
            yield video
        return
    raise _bad_video(reasons)


def _openers(path: str, key: FileKey) -> list[Callable[[], Video]]:
    """What may open the file, told by its content, in the order in which to try."""
    if os.path.isdir(path):
        return [partial(FrameDirectory, path)]
    try:
        is_zip = is_packed(path)
    except OSError as error:  # it went away since it was asked for its key
        raise BadVideo(f"cannot be read: {error.strerror}") from error
    if is_zip:
        return [partial(PackedVideo, path)]
    report = scanned(key)
    if report is not None and report.needs_pyav:  # asking OpenCV again is in vain
        return [partial(PyAVVideo, path)]
    return [partial(OpenCVVideo, path, () if report is None else report.key_frames), partial(PyAVVideo, path)]


class _NothingDecodes(BadVideo):
    """Another decoder may do better."""


def _read(path: str, choose: Choose, views: Views, segment: Segment | None) -> Frames:
    key = file_key(path)
    reasons: list[str] = []
    try:
        for opener in _openers(path, key):
            try:
                with bad_if_decoding_fails():
                    return _read_with(opener, key, choose, views, segment)
            except _NothingDecodes as error:
                reasons.append(str(error))
    except OSError as error:
        raise BadVideo(f"reading failed: {error.strerror or error}") from error
    raise _bad_video(reasons)


def _bad_video(reasons: list[str]) -> BadVideo:
    """One line from the reasons of all decoders."""
    return BadVideo("; ".join(one_line(reason) for reason in dict.fromkeys(reasons)))


def _read_with(
    opener: Callable[[], Video], key: FileKey, choose: Choose, views: Views, segment: Segment | None
) -> Frames:
    with _opened(opener) as video:
        choose_here = _within_segment(choose, segment, video.frames_per_second)
        wanted = _wanted(video.claimed_count, _real_count(key), choose_here)
        try:
            return _cut(video, wanted, views)
        except EndOfVideo as end:
            decoded = end.decoded
    if decoded == 0:
        raise _NothingDecodes("no frame decodes")
    _real_counts.put(key, decoded)
    with _opened(opener) as video:
        try:
            return _cut(video, choose_here(decoded), views)
        except EndOfVideo as end:
            raise BadVideo(f"{decoded} frames decoded at first, then only {end.decoded}") from end


@contextmanager
def _opened(opener: Callable[[], Video]) -> Iterator[Video]:
    try:
        video = opener()
    except BadVideo as error:
        raise _NothingDecodes(str(error)) from error
    with closing(video):
        yield video


def _wanted(claimed: int | None, real: int | None, choose: Choose) -> np.ndarray:
    """The frames to read; one that no video has where only decoding can tell how many there are.

    A known real count saves a futile pass but must not change the choice: a resumed run has not met the file yet.
    """
    if claimed is not None:
        wanted = choose(claimed)
        if real is None or wanted[-1] < real:
            return wanted
    return np.array([LARGEST_CREDIBLE_COUNT]) if real is None else choose(real)


def _real_count(key: FileKey) -> int | None:
    """How many frames decode, where somebody looked."""
    count = _real_counts.get(key)
    if count is None and (report := scanned(key)) is not None:
        count = report.frames
    return count


def _within_segment(choose: Choose, segment: Segment | None, rate: float | None) -> Choose:
    """`choose` for the frames of a segment."""
    if segment is None:
        return choose
    if rate is None:
        raise BadVideo("it has start and end but no frame rate")
    first, end = (round(seconds * rate) for seconds in segment)

    def choose_inside(count: int) -> np.ndarray:
        if first >= count:
            raise BadVideo(f"its {count} frames end before {segment[0]:g} s, the start of the segment")
        return first + choose(max(min(end, count) - first, 1))

    return choose_inside


def _cut(video: Video, wanted: np.ndarray, views: Views) -> Frames:
    numbers = np.unique(wanted)
    kept: list[list[np.ndarray]] = []
    size: tuple[int, int] | None = None
    for index, frame in enumerate(video.frames(numbers)):
        size = size or frame.shape[:2]
        if frame.shape[:2] != size:  # the stream changed its resolution
            frame = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_LINEAR)
        # The one place where OpenCV's BGR becomes RGB, and where views of the frame's memory become copies.
        kept.append([cv2.cvtColor(view, cv2.COLOR_BGR2RGB) for view in views(index, frame)])
    return Frames(numbers, kept)


_real_counts = RealCounts()
