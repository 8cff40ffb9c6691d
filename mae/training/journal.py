"""Where the records of a run go: `metrics.jsonl`, W&B and the terminal; on the chief only."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from mae.monitoring.console import format_progress
from mae.monitoring.metrics import MetricsLog
from mae.monitoring.wandb_run import WandbMonitor
from mae.training.meter import Record

if TYPE_CHECKING:
    from mae.training.session import Progress, Session


class Journal:
    """Use as a context manager; what is logged twice, after a resume, is kept once."""

    def __init__(
        self,
        session: "Session",
        total_steps: int,
        progress: "Progress",
        figures: Mapping[str, str],
    ) -> None:
        """`progress`: of the checkpoint to go on from; `figures`: what W&B is told beside the config."""
        self.run_id = progress.wandb_run_id
        self._config, self._directory, self._workers = session.config, session.directory, session.workers
        self._total_steps, self._progress, self._figures = total_steps, progress, figures
        self._monitor: WandbMonitor | None = None
        self._metrics: MetricsLog | None = None

    def __enter__(self) -> "Journal":
        if self._workers.is_chief:
            name, wandb = self._directory.path.name, self._config.wandb
            print(f"starting W&B (wandb.mode={wandb.mode}); without an answer, up to a minute", flush=True)
            self._monitor = WandbMonitor.start(
                wandb.mode,
                self._directory.path,
                self.run_id,
                wandb.project,
                wandb.name or name,
                asdict(self._config) | dict(self._figures),
                group=name,
            )
            print(self._monitor.describe(), flush=True)
            self.run_id = self._monitor.run_id
            step, is_logged = self._progress.step, not self._progress.owes_evaluation
            self._metrics = MetricsLog(self._directory.metrics, step, is_logged)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._metrics is not None:
            self._metrics.close()
        if self._monitor is not None:
            self._monitor.finish(0 if kind is None else 1)

    def log(self, record: Record) -> None:
        """Adds a record."""
        if self._metrics is not None and self._monitor is not None:
            self._metrics.write(record)
            self._monitor.log(record["step"], record)
            print(format_progress(record, self._total_steps), flush=True)

    def log_image(self, step: int, key: str, path: Path) -> None:
        """Adds a picture that lies in the run directory already."""
        if self._monitor is not None:
            self._monitor.log_image(step, key, path)
