"""How far a run is, on the console: a line at the bottom of a terminal that is always the newest, else plain lines."""

import time
from collections.abc import Mapping
from typing import Any

from mae.cli.telling import is_silent, tell
from mae.monitoring.console import format_progress, is_terminal

# Records with one of these stay on the terminal; all others are replaced by the next one.
KEPT = ("psnr", "probe_top1", "feature_rank", "val_top1", "val_mAP", "val_mae", "val_r2")
_REFRESH_S = 0.25


class ProgressLine:
    """Use as a context manager. Whatever else is printed within it stands above the line.

    Args:
        total_steps: of the run.
        is_live: whether the output is a terminal that can rewrite a line; None: as it is, unless all is silent.
    """

    def __init__(self, total_steps: int, is_live: bool | None = None) -> None:
        self._total_steps = total_steps
        self._is_live = is_terminal() and not is_silent() if is_live is None else is_live
        self._live: Any = None
        self._record: Mapping[str, Any] = {}
        self._shown = 0.0  # when

    def __enter__(self) -> "ProgressLine":
        if self._is_live:
            from rich.console import Console
            from rich.live import Live

            console = Console(force_terminal=True, highlight=False)
            self._live = Live("", console=console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def note_step(self, step: int) -> None:
        """Shows that a step is on its way, beside the figures of the last record; on a terminal only."""
        if self._live is not None and time.perf_counter() - self._shown > _REFRESH_S:
            self._show({**self._record, "step": step})

    def show(self, record: Mapping[str, Any]) -> None:
        """Shows a record of `metrics.jsonl`."""
        if self._live is None:
            tell(format_progress(record, self._total_steps))
            return
        if any(record.get(name) is not None for name in KEPT):
            tell(format_progress(record, self._total_steps))
        self._record = {name: value for name, value in record.items() if name not in KEPT}
        self._show(self._record)

    def _show(self, record: Mapping[str, Any]) -> None:
        from rich.text import Text

        line = Text(format_progress(record, self._total_steps), no_wrap=True, overflow="ellipsis")
        self._live.update(line, refresh=True)
        self._shown = time.perf_counter()
