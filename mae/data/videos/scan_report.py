"""What a scan finds out about a video."""

import json
from dataclasses import asdict, dataclass

# What decodes a video, as it is stored and shown.
OPENCV, PYAV, FRAMES, PACKED = "OpenCV", "PyAV", "frames", "packed"


@dataclass(frozen=True)
class ScanReport:
    """One video, decoded from its first frame to its last."""

    reason: str = ""  # why it gives no clip; "" where it does
    decoder: str = ""  # one of those above
    codec: str = ""  # as the decoder names it
    width: int = 0  # pixels, upright
    height: int = 0
    rotation: int | None = None  # degrees by which the file asks to be turned; None where the decoder does not say
    rate: float | None = None  # frames per second
    claimed: int | None = None  # frames by what the file says; None where that cannot be
    frames: int = 0  # that decode
    key_frames: tuple[int, ...] = ()  # where decoding may start; empty unless every seek tried was exact

    @property
    def is_broken(self) -> bool:
        return bool(self.reason)

    @property
    def needs_pyav(self) -> bool:
        """Whether OpenCV opens or decodes nothing of it."""
        return self.decoder == PYAV

    @property
    def seeks_exactly(self) -> bool:
        return bool(self.key_frames)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ScanReport":
        """Raises `ValueError`, `TypeError` or `KeyError` for anything but `to_json`'s output."""
        values = json.loads(text)
        return cls(**{**values, "key_frames": tuple(values["key_frames"])})
