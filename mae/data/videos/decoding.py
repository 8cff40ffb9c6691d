"""What pixels are made of the frames that a file holds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mae.errors import BadVideo, ConfigError, check_choice, shown
from mae.options import CHANNELS, DECODERS

_COUNTS = {"rgb": 3, "grey": 1}  # channels of a pixel; stored: as many as are told


@dataclass(frozen=True)
class Decoding:
    """How videos become pixels; see `decoding` for what a user says of it.

    - rgb: three channels; of an array with one, three times the same.
    - grey: the luma that `ffmpeg -pix_fmt gray` shows of a video file; of pictures, and of arrays with three channels,
      that of ITU-R BT.601.
    - stored: the channels of arrays as they are; video files and pictures are refused.
    """

    decoder: str = "pyav"  # of video files: a name in `mae.options.DECODERS`
    channels: str = "rgb"  # a name in `mae.options.CHANNELS`
    stored: int | None = None  # channels that arrays must have; None: any number
    window: tuple[float, float] | None = None  # what becomes black and white of an array; None: uint8 as they are

    def __post_init__(self) -> None:
        check_choice("decoder", self.decoder, DECODERS)
        check_choice("channels", self.channels, CHANNELS)

    @property
    def count(self) -> int:
        """Channels of a pixel."""
        count = _COUNTS.get(self.channels, self.stored)
        assert count is not None
        return count

    @property
    def is_grey(self) -> bool:
        return self.channels == "grey"

    def refuse_colours(self) -> None:
        """Raises `BadVideo` where what is shown in colours has none of the channels that are wanted."""
        if self.channels == "stored":
            raise BadVideo("a video of colours; expected an array, as channels=stored says (rgb and grey take both)")

    def check_array(self, channels: int, dtype: np.dtype[Any]) -> None:
        """Raises `BadVideo` for an array of which no pixels can be made."""
        if dtype.kind not in "uif":
            raise BadVideo(f"an array of {dtype}; expected whole numbers or floats")
        if dtype != np.uint8 and self.window is None:
            raise BadVideo(f"an array of {dtype}; expected uint8, or a window: data.window=[low,high], black and white")
        allowed = {"rgb": (1, 3), "grey": (1, 3)}.get(self.channels, (self.stored or channels,))
        if channels not in allowed:
            wanted = " or ".join(map(str, allowed))
            raise BadVideo(f"an array of {channels} channels; expected {wanted}, as data.channels={self.channels} says")

    def pixels(self, frame: np.ndarray) -> np.ndarray:
        """Of a frame of an array that `check_array` let pass: (H, W, C) of any type → (H, W, c) uint8.

        Raises:
            BadVideo: values that are not numbers (NaN).
        """
        if self.window is not None:
            frame = _windowed(frame, self.window)
        have = frame.shape[-1]
        if self.channels == "stored" or have == self.count:
            return frame
        if self.is_grey:
            return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)[..., None]
        return np.repeat(frame, self.count, axis=-1)


RGB = Decoding()


def decoding(
    in_channels: int,
    channels: str | None = None,
    window: Sequence[float] | None = None,
    decoder: str = "pyav",
    prefix: str = "data.",
) -> Decoding:
    """That of a model's videos, from what a user says.

    Args:
        in_channels: of the model.
        channels: rgb | grey | stored; None: what fits the model: rgb for three channels, grey for one, else stored.
        window: see `check_window`.
        prefix: of `channels` and `window` in messages.

    Raises:
        ConfigError: videos that the model cannot take; the message says which settings fit each other.
    """
    check_choice(f"{prefix}channels", fitting := channels or fitting_channels(in_channels), CHANNELS)
    made = Decoding(decoder, fitting, in_channels, check_window(window, prefix))
    if made.count != in_channels:
        fits, model = fitting_channels(in_channels), prefix and "model."
        raise ConfigError(
            f"{model}in_channels={in_channels} and {prefix}channels={fitting}, which gives {made.count}: give "
            f"{prefix}channels={fits}, or {model}in_channels={made.count}"
        )
    return made


def fitting_channels(in_channels: int) -> str:
    """What a model of so many channels is shown where nothing is told."""
    return next((name for name, count in _COUNTS.items() if count == in_channels), "stored")


def check_window(window: Any, prefix: str = "data.") -> tuple[float, float] | None:
    """What becomes black and what white, as numbers; raises `ConfigError` for anything but two in ascending order."""
    if window is None:
        return None
    values = list(window) if isinstance(window, Sequence) and not isinstance(window, str) else [window]
    is_given = len(values) == 2 and all(isinstance(v, int | float) and math.isfinite(v) for v in values)
    if not (is_given and values[0] < values[1]):
        raise ConfigError(f"{prefix}window=[{', '.join(map(shown, values[:4]))}] must be two numbers, low below high")
    return float(values[0]), float(values[1])


def _windowed(frame: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """uint8: 0 at `low` and below, 255 at `high` and above, rounded in between."""
    low, high = window
    levels = np.rint((np.clip(frame.astype(np.float64), low, high) - low) * (255 / (high - low)))
    if np.isnan(levels).any():
        raise BadVideo("a frame holds values that are not numbers (NaN)")
    return levels.astype(np.uint8)
