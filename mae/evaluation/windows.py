"""Which frames of a video are looked at where it is not trained on: evenly spaced clips, in the whole or in windows."""

from dataclasses import dataclass

import numpy as np

from mae.errors import BadVideo, ConfigError


@dataclass(frozen=True)
class ClipPlan:
    """How a video is cut. Raises `ConfigError` for what cannot be."""

    num_frames: int  # of a clip
    frame_stride: int  # source frames between two frames of a clip
    clips: int  # evenly spaced, in each window
    window: float | None = None  # seconds; None: the whole video is one window, unless `step` is given
    step: float | None = None  # seconds between the starts of windows; None: one follows the other

    def __post_init__(self) -> None:
        for name in ("frame_stride", "clips"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1")
        for name, option in (("window", "window"), ("step", "stride")):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ConfigError(f"{option}={getattr(self, name):g} must be above 0 seconds")

    @property
    def slides(self) -> bool:
        """Whether a video is cut into windows."""
        return self.window is not None or self.step is not None

    @property
    def frames_per_window(self) -> int:
        """Frames read for one window, at most."""
        return self.clips * self.num_frames

    def windows(self, count: int, frames_per_second: float | None) -> np.ndarray:
        """First frame and frame after the last of each window: (k, 2) int64, for a video of `count` frames.

        The last window ends with the video, even if it starts less than a step after the one before. Without
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
        hop = length if self.step is None else max(round(self.step * frames_per_second), 1)
        latest = max(count - length, 0)
        starts = list(range(0, latest + 1, hop))
        if starts[-1] < latest:
            starts.append(latest)
        return np.array([[start, min(start + length, count)] for start in starts])

    def clips_of(self, first: int, end: int) -> np.ndarray:
        """Frame numbers of the clips of a window: (clips, num_frames) int64, each row ascending.

        A single clip lies in the middle, of several the first begins and the last ends with the window. Where it is
        shorter than a clip, the last frame the stride reaches is repeated.
        """
        latest = max(end - first - self.num_frames * self.frame_stride, 0)
        starts = np.array([latest // 2]) if self.clips == 1 else np.linspace(0, latest, self.clips).round().astype(int)
        that_fit = (end - first - 1 - starts) // self.frame_stride
        steps = np.minimum(np.arange(self.num_frames), that_fit[:, None])
        return first + starts[:, None] + self.frame_stride * steps
