"""What a scan finds out about a video."""

import json
from dataclasses import asdict, dataclass

from mae.data.videos.pyav_video import KeyFrame


@dataclass(frozen=True)
class ScanReport:
    """One video, decoded from its first frame to its last."""

    reason: str = ""  # why it gives no clip; "" where it does
    decoder: str = ""  # the name of a `mae.data.videos.kinds.Kind`
    codec: str = ""  # as the decoder names it
    width: int = 0  # pixels, upright
    height: int = 0
    orientation: str = ""  # how it lies in the file: a name in `mae.data.videos.display_matrix`; "": not known
    rate: float | None = None  # frames per second
    has_variable_rate: bool | None = None  # None where time stamps are missing or do not rise
    color: str = ""  # matrix, range and depth of the first frame, and HDR where it is; "": not known
    claimed: int | None = None  # frames by what the file says; None where that cannot be
    frames: int = 0  # that decode
    interlaced: int = 0  # of those
    damaged: int = 0  # of those: something of them is missing and was made up
    lost: int = 0  # packets that do not decode, each a frame or a part of one
    black: int = 0  # frames
    constant: int = 0  # of one colour that is not black
    gaps: int = 0  # numbers that a directory of frames leaves out
    repeated: int = 0  # the same as the frame before, to the last bit
    key_frames: tuple[KeyFrame, ...] = ()  # where decoding may start; empty unless every seek tried was exact

    @property
    def is_broken(self) -> bool:
        return bool(self.reason)

    @property
    def is_damaged(self) -> bool:
        """Whether it is not all there, though what there is can be used."""
        return bool(self.damaged or self.lost)

    @property
    def seeks_exactly(self) -> bool:
        return bool(self.key_frames)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ScanReport":
        """Raises `ValueError`, `TypeError` or `KeyError` for anything but `to_json`'s output."""
        values = json.loads(text)
        return cls(**{**values, "key_frames": tuple(KeyFrame(*frame) for frame in values["key_frames"])})
