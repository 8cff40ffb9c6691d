"""Which way up a picture is shown: the display matrix that phones and cameras write into their files."""

from typing import Any, NamedTuple

_NEARLY = 1 / 64  # of the largest entry: a smaller one is 0, and the turn is off by less than a degree


class Orientation(NamedTuple):
    """How a picture lies in its file."""

    name: str  # turned clockwise by so much to be upright, after it was mirrored left to right
    filters: tuple[tuple[str, str], ...]  # of FFmpeg, name and arguments of each, which bring it upright

    @property
    def is_turned(self) -> bool:
        """Whether width and height change places."""
        return any(name == "transpose" for name, _ in self.filters)


UPRIGHT = Orientation("upright", ())
ODD_ANGLE = Orientation("an odd angle, shown as stored", ())

# By the signs of a, b, c and d, where a stored pixel (x, y) is shown at (a·x + c·y, b·x + d·y).
_BY_SIGNS: dict[tuple[int, ...], Orientation] = {
    (1, 0, 0, 1): UPRIGHT,
    (0, 1, -1, 0): Orientation("90°", (("transpose", "clock"),)),
    (-1, 0, 0, -1): Orientation("180°", (("hflip", ""), ("vflip", ""))),
    (0, -1, 1, 0): Orientation("270°", (("transpose", "cclock"),)),
    (-1, 0, 0, 1): Orientation("mirrored", (("hflip", ""),)),
    (0, -1, -1, 0): Orientation("mirrored, 90°", (("transpose", "clock_flip"),)),
    (1, 0, 0, -1): Orientation("mirrored, 180°", (("vflip", ""),)),
    (0, 1, 1, 0): Orientation("mirrored, 270°", (("transpose", "cclock_flip"),)),
}

# Without the matrix: by degrees anticlockwise, which is all that PyAV tells.
_BY_ANGLE = {0: UPRIGHT, 270: _BY_SIGNS[0, 1, -1, 0], 180: _BY_SIGNS[-1, 0, 0, -1], 90: _BY_SIGNS[0, -1, 1, 0]}


def orientation(frame: Any) -> Orientation:
    """What the display matrix of a frame of PyAV asks for."""
    try:
        return next((_of_matrix(bytes(data)) for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), UPRIGHT)
    except ValueError:  # beside it is something that PyAV has no name for, as in TIFF and in video for two eyes
        return _BY_ANGLE.get(frame.rotation % 360, ODD_ANGLE)


def _of_matrix(content: bytes) -> Orientation:
    """`content`: nine 32-bit numbers in the machine's order: a, b, u, c, d, v, x, y, w."""
    a, b, _, c, d = memoryview(content).cast("i").tolist()[:5]
    largest = max(map(abs, (a, b, c, d)))
    signs = tuple((value > largest * _NEARLY) - (value < -largest * _NEARLY) for value in (a, b, c, d))
    return _BY_SIGNS.get(signs, ODD_ANGLE if largest else UPRIGHT)
