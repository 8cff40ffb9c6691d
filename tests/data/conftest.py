"""Tiny videos, written by OpenCV."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def make_video(tmp_path):
    """A function that writes RGB frames below `tmp_path` and returns the path as a string."""

    def make(name, frames, codec="FFV1"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (frames.shape[2], frames.shape[1])
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10, size)
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
        assert path.stat().st_size > 0
        return str(path)

    return make
