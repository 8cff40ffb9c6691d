"""Clips of a video that is looked at and not trained on: evenly spaced, in the whole of it or in windows.

A plan says which frames they are made of; what reads them goes on where a video cannot be read, and takes long videos
in parts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mae.data.read_ahead import read_ahead
from mae.data.sampling import segment_test_clips
from mae.data.transforms.crops import Size, crop_frame, view_crops
from mae.data.videos.decoding import RGB, Decoding
from mae.data.videos.read import open_video, read_frames
from mae.errors import BadVideo, ConfigError, check_at_least, check_choice
from mae.options import CLIP_KINDS

PART_BYTES = 1 << 28  # of cropped frames held for one part of a long video


@dataclass(frozen=True)
class ClipPlan:
    """How a video is cut. Raises `ConfigError` for what cannot be."""

    num_frames: int  # of a clip
    frame_stride: int  # source frames between two frames of a clip
    clips: int  # evenly spaced, in each window
    window: float | None = None  # seconds; None: the whole video is one window, unless `stride` is given
    stride: float | None = None  # seconds between the starts of windows; None: one follows the other
    sampler: str = "dense"  # frames at the stride | "segments": a frame of each of `num_frames` equal segments

    def __post_init__(self) -> None:
        check_at_least(1, self, "frame_stride", "clips")
        check_choice("sampler", self.sampler, CLIP_KINDS)
        if self.sampler == "segments" and self.clips > 2:
            raise ConfigError(
                f"clips={self.clips}: there are 2 by segments, mid-points and starts; give 1 or 2, or sampler=dense"
            )
        for name in ("window", "stride"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ConfigError(f"{name}={getattr(self, name):g} must be above 0 seconds")

    @property
    def slides(self) -> bool:
        """Whether a video is cut into windows."""
        return self.window is not None or self.stride is not None

    @property
    def frames_per_window(self) -> int:
        """Frames read for one window, at most."""
        return self.clips * self.num_frames

    def windows(self, count: int, frames_per_second: float | None) -> np.ndarray:
        """First frame and frame after the last of each window: (k, 2) int64, for a video of `count` frames.

        The last window ends with the video, even if it starts less than a stride after the one before. Without
        `window`, windows are as long as a clip.

        Raises:
            BadVideo: windows are wanted, and the file does not state its frame rate.
        """
        if not self.slides:
            return np.array([[0, count]])
        if frames_per_second is None:
            raise BadVideo("it states no frame rate, which windows in seconds need")
        length = self.num_frames * self.frame_stride
        if self.window is not None:
            length = max(round(self.window * frames_per_second), 1)
        hop = length if self.stride is None else max(round(self.stride * frames_per_second), 1)
        latest = max(count - length, 0)
        starts = list(range(0, latest + 1, hop))
        if starts[-1] < latest:
            starts.append(latest)
        return np.array([[start, min(start + length, count)] for start in starts])

    def clips_of(self, first: int, end: int) -> np.ndarray:
        """Frame numbers of the clips of a window: (clips, num_frames) int64, each row ascending.

        A single clip lies in the middle, of several the first begins and the last ends with the window. Where it is
        shorter than a clip, the last frame the stride reaches is repeated. By segments the whole window is in every
        clip: the mid-points of its segments in the first, their starts in the second.
        """
        if self.sampler == "segments":
            return first + segment_test_clips(end - first, self.num_frames, self.frame_stride, self.clips)
        latest = max(end - first - self.num_frames * self.frame_stride, 0)
        starts = np.array([latest // 2]) if self.clips == 1 else np.linspace(0, latest, self.clips).round().astype(int)
        that_fit = (end - first - 1 - starts) // self.frame_stride
        steps = np.minimum(np.arange(self.num_frames), that_fit[:, None])
        return first + starts[:, None] + self.frame_stride * steps


@dataclass(frozen=True)
class Part:
    """Consecutive windows of a video; all of it, unless it is long."""

    clips: np.ndarray  # (k, clips, T, H, W, c) uint8
    frames: np.ndarray  # (k, clips, T) frame numbers
    windows: np.ndarray  # (k, 2) first frame and frame after the last
    frames_per_second: float | None
    more: bool  # whether other windows follow

    def seconds(self, frames: np.ndarray) -> np.ndarray:
        """When frames are shown; not a number where the file states no rate."""
        return frames / (self.frames_per_second or np.nan)


def read_videos(
    paths: Sequence[str], plan: ClipPlan, size: Size, decoding: Decoding = RGB, resize: str = "crop"
) -> Iterator[tuple[int, Part | BadVideo]]:
    """The clips of each video in order, decoded ahead in threads; a long video comes in several parts.

    Args:
        size: height and width of a clip, in pixels: what lies in the middle of the picture.
        decoding: what pixels are made of frames.
        resize: crop | letterbox | stretch, see `mae.data.transforms.crops.resized_whole`.

    Yields:
        The video's index and a part of it, or why it (or the rest of it) cannot be read.
    """

    def first_part(number: int) -> Part:
        return read_part(paths[number], plan, size, decoding=decoding, resize=resize)

    for number, part in read_ahead(range(len(paths)), first_part):
        yield number, part
        windows = 0
        while isinstance(part, Part) and part.more:
            windows += len(part.windows)
            part = _or_error(paths[number], plan, size, windows, decoding, resize)
            yield number, part


def read_part(
    path: str, plan: ClipPlan, size: Size, first_window: int = 0, decoding: Decoding = RGB, resize: str = "crop"
) -> Part:
    """The windows from `first_window` on, as many as `PART_BYTES` of cropped frames allow, at least one.

    Raises:
        BadVideo: the file gives no clip.
    """
    with open_video(path, decoding) as video:
        frames_per_second = video.frames_per_second
    at_once = max(PART_BYTES // (decoding.count * math.prod(size) * plan.frames_per_window), 1)
    windows, frames, more = np.empty((0, 2), np.int64), np.empty((0, plan.clips, plan.num_frames), np.int64), False

    def choose(count: int) -> np.ndarray:
        # Asked again where fewer frames decode than the file claims: what was chosen last is what is read.
        nonlocal windows, frames, more
        everything = plan.windows(count, frames_per_second)
        windows = everything[first_window : first_window + at_once]
        more = first_window + at_once < len(everything)
        frames = np.array([plan.clips_of(first, end) for first, end in windows]).reshape(-1, *frames.shape[1:])
        return np.unique(frames) if len(windows) else np.zeros(1, np.int64)

    def middle(_: int, frame: np.ndarray) -> list[np.ndarray]:
        (crop,) = view_crops(frame.shape[0], frame.shape[1], size, 1, resize)
        return [crop_frame(frame, crop)]

    read = read_frames(path, choose, middle, decoding=decoding)
    pixels = np.stack([view for (view,) in read.views])
    return Part(pixels[np.searchsorted(read.numbers, frames)], frames, windows, frames_per_second, more)


def _or_error(
    path: str, plan: ClipPlan, size: Size, first_window: int, decoding: Decoding, resize: str
) -> Part | BadVideo:
    try:
        return read_part(path, plan, size, first_window, decoding, resize)
    except BadVideo as error:
        return error
