"""Moving pictures."""

from pathlib import Path

import cv2
import numpy as np

from mae.errors import ConfigError
from mae.files import replacing

FRAMES_PER_SECOND = 8
_SCALE_TO = 192  # pixels: smaller frames are enlarged by a whole factor


def save_moving(path: str | Path, frames: np.ndarray, frames_per_second: int = FRAMES_PER_SECOND) -> None:
    """Writes frames (T, H, W, 3) uint8 RGB as .gif or .mp4, by the name; the whole file or nothing.

    Raises:
        ConfigError: OpenCV cannot encode it.
    """
    factor = max(1, _SCALE_TO // frames.shape[1])
    frames = frames.repeat(factor, axis=1).repeat(factor, axis=2)
    with replacing(path) as temporary:
        if temporary.suffix == ".gif":
            _write_gif(temporary, frames, frames_per_second)
        else:
            _write_mp4(temporary, frames, frames_per_second)


def _write_gif(path: Path, frames: np.ndarray, frames_per_second: int) -> None:
    from PIL import Image

    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=rest, duration=1000 // frames_per_second, loop=0)


def _write_mp4(path: Path, frames: np.ndarray, frames_per_second: int) -> None:
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), frames_per_second, (width, height))
    if not writer.isOpened():
        raise ConfigError("OpenCV cannot encode MP4: write a .gif, or reinstall opencv-python-headless")
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
