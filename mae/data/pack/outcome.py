"""What `mae.data.pack` tells about its work."""

from dataclasses import dataclass, field
from pathlib import Path

from mae.data.pack.write import Packed
from mae.monitoring.console import format_duration, format_table


@dataclass
class Outcome:
    """What has become of the videos so far."""

    videos: int  # distinct ones
    packed: dict[str, Packed] = field(default_factory=dict)  # by path, the kept ones included
    kept: int = 0  # of an earlier run
    new_frames: int = 0
    broken: dict[str, str] = field(default_factory=dict)  # reason by path
    notes: tuple[tuple[str, str], ...] = ()  # name and value of what else there is to say of the input
    seconds: float = 0.0

    @property
    def done(self) -> int:
        return len(self.packed) + len(self.broken)

    def progress(self, seconds: float) -> str:
        """One line: how far, how fast, how long still."""
        fresh = self.done - self.kept
        left = f", {format_duration((self.videos - self.done) * seconds / fresh)} left" if fresh else ""
        broken = f", {len(self.broken)} broken" if self.broken else ""
        rate = f"{self.new_frames / seconds:.0f} frames/s"
        return f"{self.done} of {self.videos} videos, {rate}{broken}{left}"

    def table(self, listed: Path, left_out: Path) -> str:
        """The final report; the arguments are the files that list the packed and the broken videos."""
        done = self.packed.values()
        frames, before, after = (sum(getattr(p, n) for p in done) for n in ("frames", "bytes_in", "bytes_out"))
        rows = [
            ("videos", f"{len(self.packed)} packed, {self.kept} of them earlier"),
            ("frames", str(frames)),
            ("bytes", f"{before} → {after}" + (f" ({after / before:.2f} times)" if before else "")),
            ("time", f"{self.seconds:.1f} s, {self.new_frames / max(self.seconds, 1e-9):.0f} frames/s"),
            ("broken", f"{len(self.broken)}, see {left_out}" if self.broken else "none"),
            *self.notes,
            ("list", str(listed) if self.packed else "none: no video could be packed"),
        ]
        return format_table(rows, "packed")
