"""What to do where a run waits for its clips, in figures."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mae.cli.commands import to_type

WORRYING = 0.3  # of the time
IN_A_ROW = 3  # records, so that a moment's hold-up is none
BUSY = 0.7  # of the decoders' time: below, it is not they who are waited for

# Milliseconds of a core for a clip, docs/benchmarks.md, "Making clips".
VIDEO_MS, PACKED_MS, FOUR_CLIPS_MS = 86.5, 8.5, 32.1
TWO_CORES = 1.88  # times the clips that one core makes


@dataclass
class DataWait:
    """Watches the records of a run, and says once that it waits too long for clips.

    Args:
        decoders: threads that read clips on this machine.
        clips_per_video: cut from one decoding pass.
        is_packed: whether the videos are packed (`mae.data.pack`).
    """

    decoders: int
    clips_per_video: int
    is_packed: bool
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    _waited: list[float] = field(default_factory=list)
    _is_told: bool = False

    def note(self, record: Mapping[str, Any]) -> str | None:
        """The warning, once the last records all waited for more than 30 % of their time."""
        if record.get("clips_per_second") is None or self._is_told:
            return None
        waited = record["data_wait_fraction"]
        self._waited = [*self._waited, waited] if waited > WORRYING else []
        if len(self._waited) < IN_A_ROW:
            return None
        self._is_told = True
        return self._warning(sum(self._waited) / len(self._waited), record)

    def _warning(self, waited: float, record: Mapping[str, Any]) -> str:
        speed = record["clips_per_second"]
        busy = record.get("decoders_busy")
        lines = [
            f"WARNING: {100 * waited:.0f} % of the time is spent waiting for clips; without, it would be "
            f"{speed / (1 - waited):.3g} clips/s instead of {speed:.3g}."
        ]
        if busy is not None and busy < BUSY:
            lines.append(
                f"  The {self.decoders} decoding threads are busy for {100 * busy:.0f} % of their time only: what is "
                "short is room for clips that wait. Raise data.ram_budget_gb or data.prefetch."
            )
            return "\n".join(lines)
        remedies = self._remedies()
        lines.append("  What would bring more, by the figures of docs/benchmarks.md (16 frames of 340×256 H.264):")
        return "\n".join([*lines, *(f"  - {remedy}" for remedy in remedies)])

    def _remedies(self) -> list[str]:
        remedies = []
        if not self.is_packed:
            now = VIDEO_MS if self.clips_per_video == 1 else FOUR_CLIPS_MS
            remedies.append(
                f"{to_type('pack', 'LIST', 'FOLDER')}: a copy that reads {VIDEO_MS / PACKED_MS:.0f} × as fast "
                f"({PACKED_MS:g} instead of {VIDEO_MS:g} ms of a core a clip"
                f"{'' if now == VIDEO_MS else f', {now / PACKED_MS:.1f} × what several clips a video are'}), "
                "for ten times the space; a new run then"
            )
        if self.decoders < self.cores:
            remedies.append(
                f"data.workers={self.cores} instead of {self.decoders}: twice the cores read {TWO_CORES:g} × as fast"
            )
        else:
            remedies.append(f"more cores than these {self.cores}: twice as many read {TWO_CORES:g} × as fast")
        if self.clips_per_video == 1 and not self.is_packed:
            remedies.append(
                f"data.clips_per_video=4: four clips of each decoding pass, {VIDEO_MS / FOUR_CLIPS_MS:.1f} × as fast "
                f"({FOUR_CLIPS_MS:g} ms a clip); a new run then, with fewer videos in a batch"
            )
        return remedies
