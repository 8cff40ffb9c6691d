"""Decodes one video from its first frame to its last, and notes what a person should know of it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np

from mae.data.remote.copies import local_file
from mae.data.scan.observed import Observed, fingerprint
from mae.data.scan.seeking import seeks_exactly
from mae.data.videos.arrays.array_video import ArrayVideo
from mae.data.videos.decoding import RGB, Decoding
from mae.data.videos.file_key import file_key
from mae.data.videos.frame_directory import FrameDirectory
from mae.data.videos.frame_series import missing_numbers
from mae.data.videos.kinds import ARRAYS, VIDEO_FILE, kind_of
from mae.data.videos.packed_video import PackedVideo
from mae.data.videos.pyav_video import PyAVVideo
from mae.data.videos.read import pin_threads
from mae.data.videos.scan_report import ScanReport
from mae.data.videos.time_limit import within
from mae.data.videos.video import EndOfVideo, Video, bad_if_decoding_fails
from mae.errors import BadVideo, one_line

IsStopped = Callable[[], bool]


def never() -> bool:
    return False


class Stopped(Exception):
    """The scan is to end before the video does."""


def examine(path: str, is_stopped: IsStopped = never, window: tuple[float, float] | None = None) -> ScanReport:
    """The report of a video file, a packed video, an array or a directory of images; or of a file at an address.

    Whatever is wrong with it is in the report. Raises `Stopped` soon after `is_stopped` says so.

    Args:
        window: of arrays, see `mae.data.videos.decoding.Decoding`.
    """

    def check() -> None:
        if is_stopped():
            raise Stopped

    try:
        with local_file(path) as file, bad_if_decoding_fails():
            file_key(file)
            kind = kind_of(file)
            if kind is VIDEO_FILE:
                return _examine_file(file, check)
            decoding = Decoding(channels="stored", window=window) if kind in ARRAYS else RGB
            return _examine_frames(kind.open(file, decoding), ScanReport(decoder=kind.name), check)
    except BadVideo as error:
        return ScanReport(reason=one_line(error))
    except OSError as error:
        return ScanReport(reason=f"reading failed: {error.strerror or error}")


def examine_within(
    path: str, timeout_s: float, window: tuple[float, float] | None = None, is_stopped: IsStopped = never
) -> ScanReport:
    """As `examine`, given up after so many seconds, which is in the report as well."""
    pin_threads()
    try:
        return within(timeout_s, partial(examine, path, is_stopped, window))
    except TimeoutError:
        return ScanReport(reason=f"not decoded within {timeout_s:g} s")


def _examine_file(path: str, check: Callable[[], None]) -> ScanReport:
    observed = Observed()
    with closing(PyAVVideo(path)) as video:
        found = ScanReport(
            decoder=VIDEO_FILE.name, codec=video.codec, rate=video.frames_per_second, claimed=video.claimed_count
        )
        for number, frame in enumerate(video.decoded()):
            check()
            observed.take_times(frame)
            observed.take_pixels(video.pixels(frame, number))
        if not observed.count:
            raise BadVideo("no frame decodes")
        found = replace(found, orientation=video.orientation, lost=video.lost, **observed.figures())
    if seeks_exactly(path, observed.key_frames, observed.prints, fingerprint, check):
        return replace(found, key_frames=observed.key_frames)
    return found


def _examine_frames(opened: Video, found: ScanReport, check: Callable[[], None]) -> ScanReport:
    """Of frames that each can be read alone; raises `BadVideo` where one cannot."""
    observed = Observed()
    with closing(opened) as video:
        if isinstance(video, FrameDirectory):
            found = replace(found, gaps=missing_numbers(video.names))
        codec = video.codec if isinstance(video, ArrayVideo) else "jpeg" if isinstance(video, PackedVideo) else ""
        found = replace(found, codec=codec, rate=video.frames_per_second, claimed=video.claimed_count)
        try:
            for frame in video.frames(np.arange(found.claimed or 0)):
                check()
                observed.take_pixels(frame)
        except EndOfVideo:
            pass
    return replace(found, **observed.figures())
