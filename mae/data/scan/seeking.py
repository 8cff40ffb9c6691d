"""Whether a video can be sought in: only where time stamps prove where a seek leads, and trials bear that out."""

from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np

from mae.data.videos.pyav_video import SEEK_GAIN, KeyFrame, PyAVVideo

SEEKS = 16  # tried per file
RUN = 4  # frames compared after each seek


class KeyFrames:
    """Collects where decoding may start, while the frames of a video are decoded in their order."""

    def __init__(self) -> None:
        self._found: list[KeyFrame] = []
        self._latest: int | None = None  # time stamp
        self._count = 0
        self._times_rise = True

    def take(self, time: int | None, is_key: bool) -> None:
        """The next frame: its time stamp, and whether decoding can start with it."""
        if time is None or (self._latest is not None and time <= self._latest):
            self._times_rise = False
        # Nearer ones would not be worth a seek.
        elif is_key and (not self._found or self._count - self._found[-1].number >= SEEK_GAIN):
            self._found.append(KeyFrame(self._count, time))
        self._latest = time
        self._count += 1

    @property
    def found(self) -> tuple[KeyFrame, ...]:
        """None where a time stamp does not tell which frame it is of, or where there is but one to start at."""
        return tuple(self._found) if self._times_rise and len(self._found) > 1 else ()


def seeks_exactly(
    path: str,
    key_frames: Sequence[KeyFrame],
    prints: Sequence[int],
    fingerprint: Callable[[np.ndarray], int],
    check: Callable[[], None],
) -> bool:
    """Whether seeks all over the file lead to the frames asked for, and decoding goes on from there as without them.

    Args:
        prints: the fingerprint of every frame. A file whose frames cannot be told from their neighbours counts as one
            without exact seeks.
        check: is called before every frame, and may raise to give up.
    """
    targets = _targets(key_frames, len(prints))
    told = [number for number in targets if prints.count(prints[number]) == 1]
    if not targets or 2 * len(told) < len(targets):
        return False
    for target in targets:
        with closing(PyAVVideo(path, key_frames)) as video:
            wanted = range(target, min(target + RUN, len(prints)))
            for number, frame in zip(wanted, video.frames(np.array(wanted)), strict=True):
                check()
                if not video.seeks or fingerprint(frame) != prints[number]:
                    return False
    return True


def _targets(key_frames: Sequence[KeyFrame], frames: int) -> list[int]:
    """Frames to seek: the last one, some key frames, and others between them."""
    served = [key.number for key in key_frames if key.number >= SEEK_GAIN]
    if not served:
        return []
    some = [served[index] for index in np.linspace(0, len(served) - 1, min(SEEKS // 2, len(served)), dtype=int)]
    rest = np.linspace(served[0], frames - 1, SEEKS - len(some), dtype=int).tolist()
    return sorted({*some, *rest})
