"""What is noted of the frames of a video while they are decoded one by one."""

import zlib
from itertools import pairwise
from typing import Any

import av
import numpy as np

from mae.data.scan.seeking import KeyFrames
from mae.data.videos.display_matrix import orientation
from mae.data.videos.pyav_video import KeyFrame

ROWS = 64  # of a frame that are looked at, at least
BLACKEST = 16  # grey levels: a frame that is nowhere brighter is black
FLATTEST = 4  # grey levels: a frame whose channels spread no wider is of one colour
EVEN = 0.25  # frames by which times at a constant rate may be off, as some containers count in milliseconds
_HDR = {16: "PQ", 18: "HLG"}  # transfer functions by their numbers in ITU-T H.273
_MATRICES = {
    0: "RGB",
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020",
}
_RANGES = {1: "limited", 2: "full"}


class Observed:
    """The frames of one video so far; for files both methods are called with each frame."""

    def __init__(self) -> None:
        self.prints: list[int] = []
        self._size = (0, 0)
        self._black = self._constant = self._repeated = 0
        self._interlaced = self._damaged = 0
        self._color = ""
        self._kinds: set[tuple[object, ...]] = set()
        self._times: list[int | None] = []
        self._keys = KeyFrames()

    @property
    def count(self) -> int:
        return len(self.prints)

    @property
    def key_frames(self) -> tuple[KeyFrame, ...]:
        """Where decoding may start; nowhere in a file whose first frame alone tells the size or orientation of all."""
        return self._keys.found if len(self._kinds) == 1 else ()

    def take_times(self, frame: av.VideoFrame) -> None:
        """What PyAV tells of the next frame besides its pixels."""
        self._color = self._color or _color(frame)
        self._interlaced += frame.interlaced_frame
        self._damaged += frame.is_corrupt
        self._kinds.add((frame.width, frame.height, orientation(frame)))
        self._times.append(frame.pts)
        self._keys.take(frame.pts, frame.key_frame)

    def take_pixels(self, frame: np.ndarray) -> None:
        """The pixels of the next frame, (H, W, 3) uint8."""
        some = np.ascontiguousarray(frame[:: max(1, len(frame) // ROWS)])
        spread = np.ptp(some, axis=(0, 1)).max()
        if some.max() <= BLACKEST:
            self._black += 1
        elif spread <= FLATTEST:
            self._constant += 1
        found = fingerprint(frame)
        self._repeated += bool(self.prints) and found == self.prints[-1]
        self._size = self._size if self.prints else (frame.shape[1], frame.shape[0])
        self.prints.append(found)

    def figures(self) -> dict[str, Any]:
        """The fields of `ScanReport` that come of it."""
        return {
            "width": self._size[0],
            "height": self._size[1],
            "frames": self.count,
            "color": self._color,
            "has_variable_rate": has_variable_rate(self._times),
            "interlaced": self._interlaced,
            "damaged": self._damaged,
            "black": self._black,
            "constant": self._constant,
            "repeated": self._repeated,
        }


def fingerprint(frame: np.ndarray) -> int:
    """Of some rows of a frame."""
    return zlib.crc32(np.ascontiguousarray(frame[:: max(1, len(frame) // ROWS)]).data)


def has_variable_rate(times: list[int | None]) -> bool | None:
    """Whether frames are shown for unequal times; None where their times are not all known or do not rise."""
    known = [time for time in times if time is not None]
    if len(known) < len(times) or len(known) < 2 or any(a >= b for a, b in pairwise(known)):
        return None
    numbers = np.arange(len(known)) * ((known[-1] - known[0]) / (len(known) - 1))
    step = max(numbers[1], 1e-9)
    return bool(np.abs(np.array(known) - known[0] - numbers).max() > max(EVEN * step, 1))


def _color(frame: Any) -> str:
    """As "bt709 limited 8 bit", with "?" for what is not stated; FFmpeg takes bt.601 and limited for that."""
    matrix = "RGB" if frame.format.is_rgb else _MATRICES.get(int(frame.colorspace), "?")
    levels = _RANGES.get(int(frame.color_range), "?")
    depth = max(component.bits for component in frame.format.components)
    hdr = _HDR.get(int(frame.color_trc))
    return f"{matrix} {levels} {depth} bit" + (f" {hdr}" if hdr else "")
