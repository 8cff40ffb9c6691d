"""Decoded frames become 8-bit RGB, or grey, upright and of one size, by the filters that `ffmpeg` itself would use.

FFmpeg's scaler is told the matrix, range and depth that a frame states; where it states none, it takes bt.601 and
limited range, which the released models were trained on. High dynamic range stays as it is, nothing maps its tones.
Making the filters takes a tenth of a millisecond, so they are kept from frame to frame: a frame of 340×256 then takes
40 µs, which is less than `cv2.cvtColor` takes with the planes copied to where it wants them (70 µs), as measured.
"""

from typing import Any

import av
import av.filter
import numpy as np

from mae.data.videos.display_matrix import UPRIGHT, orientation


class Pixels:
    """Turns the frames of one video into pixels; all get the size of the one that `first` was told.

    Args:
        is_grey: whether they are the luma alone, at full range, as `ffmpeg -pix_fmt gray` has it.
    """

    def __init__(self, is_grey: bool = False) -> None:
        self._format, self._channels = ("gray", 1) if is_grey else ("rgb24", 3)
        self._size: tuple[int, int] | None = None  # width and height, upright
        self.orientation = UPRIGHT  # in the file
        self._graph: av.filter.Graph | None = None
        self._made_for: tuple[object, ...] = ()

    def first(self, frame: av.VideoFrame) -> None:
        """Takes size and orientation of this frame for those of all; of several, the first one counts.

        A file's display matrix comes with every frame; one that the stream itself holds comes with the first alone.
        """
        if self._size is None:
            self.orientation = orientation(frame)
            width, height = frame.width, frame.height
            self._size = (height, width) if self.orientation.is_turned else (width, height)

    def of(self, frame: av.VideoFrame) -> np.ndarray:
        """The pixels of a frame, (H, W, 3) or (H, W, 1) uint8; raises `av.FFmpegError` where it does not convert."""
        self.first(frame)
        kind = (frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range))
        if kind != self._made_for:
            self._graph, self._made_for = None, ()
            self._graph, self._made_for = self._filters(*kind), kind
        assert self._graph is not None
        frame.pts = None  # of no use to the filters, which would warn of times that jump
        self._graph.push(frame)
        return _as_array(self._graph.pull(), self._channels)

    def _filters(self, width: int, height: int, pixels: str, matrix: int, levels: int) -> av.filter.Graph:
        """From frames of this kind to upright pixels of the video's size."""
        assert self._size is not None
        graph = av.filter.Graph()
        graph.threads = 1  # clips are made side by side already
        source = f"video_size={width}x{height}:pix_fmt={pixels}:colorspace={matrix}:range={levels}:time_base=1/1"
        steps = [
            ("buffer", source),
            *self.orientation.filters,
            ("scale", f"{self._size[0]}:{self._size[1]}:flags=bicubic"),
            ("format", self._format),
            ("buffersink", ""),
        ]
        graph.link_nodes(*(graph.add(name, arguments or None) for name, arguments in steps))
        graph.configure()
        return graph


def _as_array(frame: Any, channels: int) -> np.ndarray:
    """The memory of a frame of one plane, not copied: it lives as long as the array."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(frame.height, abs(plane.line_size))
    if plane.line_size < 0:  # it lies bottom up, as some RGB files have it, or `vflip` makes it
        rows = rows[::-1]
    return rows[:, : channels * frame.width].reshape(frame.height, frame.width, channels)
