"""Videos that a command is given, read clip by clip: a file, a folder or a list."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mae.data.lists.index import VideoIndex, index_csv, index_folder, single_video
from mae.data.transforms.crops import crop_frame, view_crops
from mae.data.videos.read import open_video, read_frames
from mae.errors import BadVideo
from mae.evaluation.read_ahead import read_ahead
from mae.evaluation.windows import ClipPlan

LISTS = (".csv", ".txt", ".tsv", ".list")
PART_BYTES = 1 << 28  # of cropped frames held for one part of a long video


@dataclass(frozen=True)
class GivenVideos:
    """Paths to read, and the names to show and to name files by: relative where the videos have a folder in common."""

    paths: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Consecutive windows of a video; all of it, unless it is long."""

    clips: np.ndarray  # (k, clips, T, S, S, 3) uint8 RGB
    frames: np.ndarray  # (k, clips, T) frame numbers
    windows: np.ndarray  # (k, 2) first frame and frame after the last
    frames_per_second: float | None
    more: bool  # whether other windows follow

    def seconds(self, frames: np.ndarray) -> np.ndarray:
        """When frames are shown; not a number where the file states no rate."""
        return frames / (self.frames_per_second or np.nan)


def given_videos(given: str) -> GivenVideos:
    """The videos that `video=` names: a folder, a list (by its extension), or else one video.

    Raises:
        ConfigError: a folder without videos, or a malformed list.
    """
    path = Path(os.path.expanduser(given))
    index: VideoIndex
    if path.is_dir():
        index, base = index_folder(path), path.absolute()
    elif path.suffix.lower() in LISTS:
        index, base = index_csv(path, None), path.absolute().parent
    else:
        index, base = single_video(path), path.absolute().parent
    prefix = os.path.join(base, "")
    return GivenVideos(index.paths, tuple(video.removeprefix(prefix) for video in index.paths))


def read_videos(paths: Sequence[str], plan: ClipPlan, size: int) -> Iterator[tuple[int, Part | BadVideo]]:
    """The clips of each video in order, decoded ahead in threads; a long video comes in several parts.

    Args:
        size: pixels, height and width of a clip: the square in the middle of the picture.

    Yields:
        The video's place and a part of it, or why it (or the rest of it) cannot be read.
    """

    def first_part(number: int) -> Part:
        return read_part(paths[number], plan, size)

    for number, part in read_ahead(range(len(paths)), first_part):
        yield number, part
        windows = 0
        while isinstance(part, Part) and part.more:
            windows += len(part.windows)
            part = _or_error(paths[number], plan, size, windows)
            yield number, part


def _or_error(path: str, plan: ClipPlan, size: int, first_window: int) -> Part | BadVideo:
    try:
        return read_part(path, plan, size, first_window)
    except BadVideo as error:
        return error


def read_part(path: str, plan: ClipPlan, size: int, first_window: int = 0) -> Part:
    """The windows from `first_window` on, as many as `PART_BYTES` of cropped frames allow, at least one.

    Raises:
        BadVideo: the file gives no clip.
    """
    with open_video(path) as video:
        frames_per_second = video.frames_per_second
    at_once = max(PART_BYTES // (3 * size**2 * plan.frames_per_window), 1)
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
        (crop,) = view_crops(frame.shape[0], frame.shape[1], size, 1)
        return [crop_frame(frame, crop)]

    read = read_frames(path, choose, middle)
    pixels = np.stack([view for (view,) in read.views])
    return Part(pixels[np.searchsorted(read.numbers, frames)], frames, windows, frames_per_second, more)
