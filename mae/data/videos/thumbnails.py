"""Pictures inside a page: frames of videos and files with pictures, as `data:` addresses."""

import base64
import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from mae.data.videos.decoding import RGB, Decoding
from mae.data.videos.read import read_frames
from mae.errors import BadVideo
from mae.monitoring.panels import in_colours

SIDE = 112  # pixels of a frame
TIMEOUT_S = 10.0  # for a video
_QUALITY = 88  # of JPEG


@cache
def middle_frame(video: str, decoding: Decoding = RGB) -> str | None:
    """The frame in the middle of a video, cut to a square; None where it cannot be read."""

    def middle(count: int) -> np.ndarray:
        return np.array([count // 2])

    try:
        read = read_frames(video, middle, lambda _, frame: [frame.copy()], timeout_s=TIMEOUT_S, decoding=decoding)
    except (BadVideo, OSError, ValueError, IndexError):
        return None
    picture = Image.fromarray(in_colours(read.views[0][0]))
    side = min(picture.size)
    left, top = ((size - side) // 2 for size in picture.size)
    return as_address(picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE)))


def picture_of(path: Path) -> str:
    """A picture's file."""
    with Image.open(path) as picture:
        return as_address(picture.convert("RGB"))


def as_address(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, format="jpeg", quality=_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
