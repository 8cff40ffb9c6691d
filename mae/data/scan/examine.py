"""Decodes one video from its first frame to its last, and notes what a person should know of it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np

from mae.data.scan.observed import Observed, fingerprint
from mae.data.scan.seeking import seeks_exactly
from mae.data.videos.file_key import file_key
from mae.data.videos.frame_directory import FrameDirectory, is_frame_directory
from mae.data.videos.frame_series import missing_numbers
from mae.data.videos.packed_video import PackedVideo, is_packed
from mae.data.videos.pyav_video import PyAVVideo
from mae.data.videos.scan_report import FRAMES, PACKED, PYAV, ScanReport
from mae.data.videos.video import EndOfVideo, Video, bad_if_decoding_fails
from mae.errors import BadVideo, one_line

IsStopped = Callable[[], bool]


class Stopped(Exception):
    """The scan is to end before the video does."""


def examine(path: str, is_stopped: IsStopped = lambda: False) -> ScanReport:
    """The report of a video file, a packed video or a directory of images.

    Whatever is wrong with it is in the report. Raises `Stopped` soon after `is_stopped` says so.
    """

    def check() -> None:
        if is_stopped():
            raise Stopped

    try:
        file_key(path)
        with bad_if_decoding_fails():
            if is_frame_directory(path):
                frames = FrameDirectory(path)
                gaps = missing_numbers(frames.names)
                return _examine_pictures(frames, ScanReport(decoder=FRAMES, gaps=gaps), check)
            if is_packed(path):
                return _examine_pictures(PackedVideo(path), ScanReport(decoder=PACKED, codec="jpeg"), check)
            return _examine_file(path, check)
    except BadVideo as error:
        return ScanReport(reason=one_line(error))
    except OSError as error:
        return ScanReport(reason=f"reading failed: {error.strerror or error}")


def _examine_file(path: str, check: Callable[[], None]) -> ScanReport:
    observed = Observed()
    with closing(PyAVVideo(path)) as video:
        found = ScanReport(decoder=PYAV, codec=video.codec, rate=video.frames_per_second, claimed=video.claimed_count)
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


def _examine_pictures(opened: Video, found: ScanReport, check: Callable[[], None]) -> ScanReport:
    """Of pictures that are a frame each; raises `BadVideo` where one does not decode."""
    observed = Observed()
    with closing(opened) as video:
        found = replace(found, rate=video.frames_per_second, claimed=video.claimed_count)
        try:
            for frame in video.frames(np.arange(found.claimed or 0)):
                check()
                observed.take_pixels(frame)
        except EndOfVideo:
            pass
    return replace(found, **observed.figures())
