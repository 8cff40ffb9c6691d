"""From a path to pieces of the wanted frames, as pixels, whatever kind of video it is."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from mae.data.remote.copies import local_file
from mae.data.transforms.crops import resized
from mae.data.videos.decoding import RGB, Decoding, check_window
from mae.data.videos.file_key import FileKey, file_key
from mae.data.videos.kinds import kind_of
from mae.data.videos.known_counts import KnownCounts
from mae.data.videos.scan_cache import scanned
from mae.data.videos.time_limit import within
from mae.data.videos.video import LARGEST_CREDIBLE_COUNT, EndOfVideo, Video, bad_if_decoding_fails
from mae.errors import BadVideo

Choose = Callable[[int], np.ndarray]
Views = Callable[[int, np.ndarray], list[np.ndarray]]
Segment = tuple[float, float]


@dataclass(frozen=True)
class Frames:
    """What was read: `numbers` (k,), ascending and distinct, and the views of each of these frames."""

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
    decoding: Decoding = RGB,
) -> Frames:
    """Decodes the frames that `choose` picks, and keeps what `views` cuts out of each.

    What is picked depends on the file alone: `choose` is asked with the claimed frame count, and once more with the
    real one where decoding ends before the last frame it wanted. What a scan or an earlier reading found out makes
    reading faster, but changes no clip.

    Args:
        path: of a video file, a packed video, an array (`mae.data.videos.kinds`), or a directory of images; or the
            address of a file, of which a copy is read, see `mae.data.remote.copies`.
        choose: gives ascending frame numbers, repeats allowed, for a frame count of at least 1.
        views: gives pieces of a frame, from its index among the distinct chosen ones and its pixels, (H, W, 3) uint8
            RGB, or (H, W, c) as `decoding` says, upright, valid during the call. A frame whose size differs from the
            first one's is resized to it.
        segment: seconds; the frames round(start · rate) up to round(end · rate) are all there is.
        timeout_s: seconds that all of it may take, and fetching it before that; None: any.
        decoding: what pixels are made of frames.

    Raises:
        BadVideo: no such file, nothing in it decodes, or not in time.
        ConfigError: a library that this kind of file needs is not installed.
    """
    with local_file(path, timeout_s) as file:
        read = partial(_read, file, choose, views, segment, decoding)
        if timeout_s is None:
            return read()
        try:
            return within(timeout_s, read)
        except TimeoutError as error:
            raise BadVideo(f"not decoded within {timeout_s:g} s") from error


def read_video(
    path: str | os.PathLike[str],
    frames: Sequence[int] | None = None,
    decoder: str = "pyav",
    channels: str = "rgb",
    window: Sequence[float] | None = None,
) -> np.ndarray:
    """The frames of a video as (T, H, W, 3) uint8 RGB, upright; those of another size get that of the first.

    Args:
        path: of a video file, of a packed video, of an array (.npy, .npz, TIFF, DICOM), or of a directory of images; or
            the address of a file, as s3://bucket/a.mp4.
        frames: their numbers from 0, in any order, repeats allowed; None: all of them.
        decoder: of video files: "pyav", which gives what `ffmpeg` shows, or "opencv".
        channels: "rgb"; "grey": the luma, (T, H, W, 1); "stored": those of an array, (T, H, W, C).
        window: of an array, what becomes 0 and what 255, as (-1000, 400); None: it is uint8.

    Raises:
        BadVideo: no such file, or nothing in it decodes.
        ConfigError: no such decoder or channels, no window, or a library is missing that this kind of file needs.
        IndexError: there is no frame of such a number.

    Example:
        >>> import mae
        >>> mae.read_video("videos/grow/0.avi", frames=[0, 4, 4]).shape
        (3, 30, 40, 3)
    """

    decoding = Decoding(decoder, channels, window=check_window(window, ""))

    def choose(count: int) -> np.ndarray:
        numbers = np.arange(count) if frames is None else np.unique(np.asarray(frames, np.int64))
        if not len(numbers) or numbers[0] < 0 or numbers[-1] >= count:
            raise IndexError(f"{path} has frames 0 to {count - 1}; frames={frames} are asked for")
        return numbers

    read = read_frames(os.fspath(path), choose, lambda _, frame: [frame], decoding=decoding)
    pixels = np.stack([whole for (whole,) in read.views])
    return pixels if frames is None else pixels[np.searchsorted(read.numbers, frames)]


@contextmanager
def open_video(path: str, decoding: Decoding = RGB) -> Iterator[Video]:
    """The video at a path; raises `BadVideo` where it cannot be opened."""
    with local_file(path) as file:
        file_key(file)
        with closing(kind_of(file).open(file, decoding)) as video:
            yield video


def _read(path: str, choose: Choose, views: Views, segment: Segment | None, decoding: Decoding) -> Frames:
    key = file_key(path)
    opener = partial(kind_of(path).open, path, decoding)
    try:
        with bad_if_decoding_fails():
            return _read_with(opener, _Counts(key, decoding.decoder), choose, views, segment)
    except OSError as error:
        raise BadVideo(f"reading failed: {error.strerror or error}") from error


def _read_with(
    opener: Callable[[], Video], counts: "_Counts", choose: Choose, views: Views, segment: Segment | None
) -> Frames:
    with closing(opener()) as video:
        choose_here = _within_segment(choose, segment, video.frames_per_second)
        wanted = _wanted(counts.claimed(video), counts.real(), choose_here)
        try:
            return _cut(video, wanted, views)
        except EndOfVideo as end:
            decoded = end.decoded
    if decoded == 0:
        raise BadVideo("no frame decodes")
    counts.put_real(decoded)
    with closing(opener()) as video:
        try:
            return _cut(video, choose_here(decoded), views)
        except EndOfVideo as end:
            raise BadVideo(f"{decoded} frames decoded at first, then only {end.decoded}") from end


def _wanted(claimed: int | None, real: int | None, choose: Choose) -> np.ndarray:
    """The frames to read; one that no video has where only decoding can tell how many there are.

    A known real count saves a futile pass but must not change the choice: a resumed run has not met the file yet.
    """
    if claimed is not None:
        wanted = choose(claimed)
        if real is None or wanted[-1] < real:
            return wanted
    return np.array([LARGEST_CREDIBLE_COUNT]) if real is None else choose(real)


class _Counts:
    """How many frames a file has by what it claims and by what decodes, as far as anybody has looked.

    Both depend on the decoder. Some containers have to be read to their end for a claim.
    """

    def __init__(self, key: FileKey, decoder: str) -> None:
        self._report = scanned(key) if decoder == "pyav" else None
        self._key = (decoder, *key)

    def claimed(self, video: Video) -> int | None:
        if self._report is not None:
            return self._report.claimed
        count = _claims.get(self._key)
        if count is None and (count := video.claimed_count) is not None:
            _claims.put(self._key, count)
        return count

    def real(self) -> int | None:
        count = _real_counts.get(self._key)
        return self._report.frames if count is None and self._report is not None else count

    def put_real(self, count: int) -> None:
        _real_counts.put(self._key, count)


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
            frame = resized(frame, size)
        kept.append([_own(view, frame) for view in views(index, frame)])
    return Frames(numbers, kept)


def _own(view: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """A view that outlives the frame, whose memory may be used again."""
    return view.copy() if np.may_share_memory(view, frame) else view


_claims, _real_counts = KnownCounts(), KnownCounts()
