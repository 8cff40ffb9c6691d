"""What `mae.data.pack` tells about its work."""

from dataclasses import dataclass, field
from pathlib import Path

from mae.cli.shared_work import Shard
from mae.data.pack.one import Done
from mae.data.pack.output import BROKEN_FILE, LIST_FILE
from mae.data.pack.write import Packed
from mae.errors import BadVideo
from mae.monitoring.console import format_duration, format_table


@dataclass
class Outcome:
    """What has become of the videos so far."""

    videos: int  # distinct ones
    packed: dict[str, Packed] = field(default_factory=dict)  # by path, the kept ones included
    kept: int = 0  # of an earlier run
    new_frames: int = 0
    broken: dict[str, str] = field(default_factory=dict)  # reason by path
    files: dict[str, str] = field(default_factory=dict)  # by path: what a list in the folder calls the packed one
    notes: tuple[tuple[str, str], ...] = ()  # name and value of what else there is to say of the input
    seconds: float = 0.0

    def note(self, path: str, done: Done | BadVideo) -> None:
        """Takes what has become of a video."""
        if isinstance(done, BadVideo):
            self.broken[path] = str(done)
            return
        self.packed[path] = done.packed
        self.kept += not done.is_new
        self.new_frames += done.packed.frames * done.is_new

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

    def table(self, output: Path, share: Shard | None = None) -> str:
        """The final report; `output`: the folder, `share`: of the work, where this is not all of it."""
        done = self.packed.values()
        frames, before, after = (sum(getattr(p, n) for p in done) for n in ("frames", "bytes_in", "bytes_out"))
        rows = [
            ("videos", f"{len(self.packed)} packed, {self.kept} of them earlier"),
            ("frames", str(frames)),
            ("bytes", f"{before} → {after}" + (f" ({after / before:.2f} times)" if before else "")),
            ("time", f"{self.seconds:.1f} s, {self.new_frames / max(self.seconds, 1e-9):.0f} frames/s"),
            ("broken", self._broken(output / BROKEN_FILE, share)),
            *self.notes,
            ("list", self._list(output / LIST_FILE, share)),
        ]
        return format_table(rows, "packed")

    def _broken(self, left_out: Path, share: Shard | None) -> str:
        if not self.broken:
            return "none"
        first = next(iter(self.broken))
        return f"{len(self.broken)}, " + (
            f"see {left_out}" if share is None else f"the first: {first} ({self.broken[first]})"
        )

    def _list(self, listed: Path, share: Shard | None) -> str:
        if share is not None:
            return f"once all {share.count} parts are packed, the same command without shard= writes {listed}"
        return str(listed) if self.packed else "none: no video could be packed"
