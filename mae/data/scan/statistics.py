"""Mean and standard deviation of the channels of a data set, which pixels are normalised by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mae.data.read_ahead import read_ahead
from mae.data.videos.decoding import Decoding
from mae.data.videos.read import read_frames
from mae.errors import BadVideo, ConfigError
from mae.normalisation import Statistics

FRAMES = 16  # of each video, evenly spaced


@dataclass(frozen=True)
class Moments:
    """Of the channels of one video, values in [0, 1]; frames count alike, however large they are."""

    frames: int
    mean: np.ndarray  # (c,) float64
    square: np.ndarray  # (c,) float64: the mean of the squares


def channel_statistics(
    paths: Sequence[str], decoding: Decoding, workers: int, timeout_s: float | None
) -> tuple[Statistics, int]:
    """Those over some frames of every video that can be read, whole as they are, and how many frames these are.

    Raises:
        ConfigError: no video can be read, or they have different numbers of channels.
    """
    found: list[Moments] = []
    reason = ""
    for path, made in read_ahead(paths, lambda path: _moments(path, decoding, timeout_s), workers):
        if isinstance(made, BadVideo):
            reason = reason or f"{path}: {made}"
        elif found and len(made.mean) != len(found[0].mean):
            raise ConfigError(
                f"{path} has {len(made.mean)} channels, and {paths[0]} has {len(found[0].mean)}: statistics are of "
                "videos with as many channels each"
            )
        else:
            found.append(made)
    if not found:
        raise ConfigError(f"statistics=true: none of the {len(paths)} videos can be read; the first: {reason}")
    weights = [moments.frames for moments in found]
    mean = np.average([moments.mean for moments in found], axis=0, weights=weights)
    square = np.average([moments.square for moments in found], axis=0, weights=weights)
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return Statistics(tuple(mean.tolist()), tuple(std.tolist())), sum(weights)


def settings_of(statistics: Statistics, decoding: Decoding) -> list[str]:
    """What to type for a training on these videos."""
    channels = len(statistics.mean)
    settings = [] if channels == 3 else [f"model.in_channels={channels}"]
    settings += [] if decoding.channels == "rgb" else [f"data.channels={decoding.channels}"]
    if decoding.window is not None:
        settings.append(f"data.window=[{','.join(f'{end:g}' for end in decoding.window)}]")
    for name, values in statistics._asdict().items():
        # Of one value, all the same, there is no deviation to divide by.
        listed = ",".join(f"{max(value, 1e-4) if name == 'std' else value:.4f}" for value in values)
        settings.append(f"model.{name}=[{listed}]")
    return settings


def _moments(path: str, decoding: Decoding, timeout_s: float | None) -> Moments:
    def evenly(count: int) -> np.ndarray:
        return np.unique(np.linspace(0, count - 1, FRAMES).round().astype(np.int64))

    def of_frame(_: int, frame: np.ndarray) -> list[np.ndarray]:
        values = frame.reshape(-1, frame.shape[-1]).astype(np.float64) / 255
        return [np.stack([values.mean(axis=0), np.square(values).mean(axis=0)])]

    read = read_frames(path, evenly, of_frame, timeout_s=timeout_s, decoding=decoding)
    mean, square = np.mean([moments for (moments,) in read.views], axis=0)
    return Moments(len(read.views), mean, square)
