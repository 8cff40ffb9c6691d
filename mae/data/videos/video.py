"""What every kind of video file offers, whoever decodes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import av
import cv2
import numpy as np

from mae.errors import BadVideo

LARGEST_CREDIBLE_COUNT = 10**7  # frames; live-muxed files claim ±10**17


class EndOfVideo(Exception):
    """A video ended before the last wanted frame."""

    def __init__(self, decoded: int) -> None:
        super().__init__(f"{decoded} frames decode")
        self.decoded = decoded  # frames of the whole video, from its first one


class Video(Protocol):
    """An opened video. `close` releases whatever it holds."""

    @property
    def claimed_count(self) -> int | None:
        """Frames the container says it has, which may be more than decode; None where that cannot be."""

    @property
    def frames_per_second(self) -> float | None:
        """Average rate; None where the container does not say."""

    def frames(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        """The frames of the given numbers, ascending and distinct, as (H, W, 3) uint8 RGB, or (H, W, c) as its
        `mae.data.videos.decoding.Decoding` says, upright.

        May be called once.

        Raises:
            EndOfVideo: fewer frames decode.
            BadVideo: a frame is there and cannot be turned into 8-bit colour.
        """

    def close(self) -> None: ...


@contextmanager
def bad_if_decoding_fails() -> Iterator[None]:
    """Turns what may happen to any decoder, an error of its library or too large frames, into `BadVideo`."""
    try:
        yield
    except cv2.error as error:
        raise BadVideo(f"OpenCV failed: {error.err or 'no reason given'}") from error
    except av.FFmpegError as error:
        raise BadVideo(f"PyAV failed: {error.strerror or error}") from error
    except MemoryError as error:
        raise BadVideo("its frames do not fit into memory") from error
