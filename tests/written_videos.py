"""Lossless video files of given frames."""

import cv2
import numpy as np


def write_video(path, frames, frames_per_second=10):
    """(T, H, W, 3) uint8 RGB; returns the path as a string."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (frames.shape[2], frames.shape[1])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), frames_per_second, size)
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    assert path.stat().st_size > 0
    return str(path)


def noise_frames(count, seed=0, height=16, width=20):
    """Frames that have nothing in common."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), "uint8")
