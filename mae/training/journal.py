"""Where the records of a run go: `metrics.jsonl`, and from there the terminal and other views; on the chief only."""

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mae.cli.telling import tell
from mae.monitoring.data_wait import DataWait
from mae.monitoring.metrics import MetricsLog
from mae.monitoring.progress import ProgressLine
from mae.monitoring.views import Views
from mae.monitoring.wandb_run import plan_wandb
from mae.training.meter import Record
from mae.training.yardsticks import Yardsticks, memory

if TYPE_CHECKING:
    from mae.training.session import Progress, Session

_DRAWING = 4  # pictures at most that are being drawn or wait for it: each holds its clips in memory


class Journal:
    """Use as a context manager; what is logged twice, after a resume, is kept once."""

    def __init__(
        self,
        session: "Session",
        total_steps: int,
        progress: "Progress",
        details: Mapping[str, Any],
        yardsticks: Yardsticks,
        data_wait: DataWait,
    ) -> None:
        """
        Args:
            progress: of the checkpoint to go on from.
            details: what the views are told beside the config.
            yardsticks: what the records' figures are compared with.
            data_wait: watches them.
        """
        config, self._directory = session.config, session.directory
        self._is_chief, self._device_memory = session.workers.is_chief, session.engine.device_memory
        self._caller = session.caller
        self._wandb = plan_wandb(config.wandb, progress.wandb_run_id, self._directory.path.name)
        if "wandb" not in config.monitor:
            self._wandb = None
        self.run_id = progress.wandb_run_id if self._wandb is None else self._wandb.run_id
        self._monitors, self._details = config.monitor, {**asdict(config), **details}
        self._progress, self._yardsticks, self._data_wait = progress, yardsticks, data_wait
        self._line = ProgressLine(total_steps)
        self._closing = ExitStack()

    def __enter__(self) -> "Journal":
        if not self._is_chief:
            return self
        step, is_logged = self._progress.step, not self._progress.owes_evaluation
        self._metrics = MetricsLog(self._directory.metrics, step, is_logged)
        self._closing.callback(self._metrics.close)
        first = step + is_logged if step else 0
        self._views = Views.open(self._monitors, self._wandb, self._directory.path, self._details, first, tell)
        self._closing.enter_context(self._line)
        self._artist = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._drawn: deque[Future[None]] = deque()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_chief:
            return
        with self._closing:
            self._artist.shutdown(wait=True)
            self._views.finish(0 if kind is None else 1)
            if kind is None:
                self._raise_if_not_drawn(waiting=0)

    def note_step(self, step: int) -> None:
        """Shows that a step is on its way."""
        if self._is_chief:
            self._line.note_step(step)

    def log(self, record: Record) -> None:
        """Adds a record, with the figures that follow from it."""
        if not self._is_chief:
            return
        more = {**self._yardsticks.derived(record), **memory(self._device_memory())}
        written = self._metrics.write({**record, **more})
        self._views.log(written)
        self._line.show(written)
        if (warning := self._data_wait.note(written)) is not None:
            tell(warning)
        self._caller.call(lambda callback: callback.on_log(dict(written)))

    def draw(self, step: int, key: str, path: Path, draw: Callable[[Path], None]) -> None:
        """Has a picture drawn, and shown under `key`, while training goes on.

        Args:
            draw: writes it to `path`, in another thread. Where that fails, a later call raises its error.
        """
        if not self._is_chief:
            return
        self._raise_if_not_drawn(waiting=_DRAWING - 1)

        def work() -> None:
            draw(path)
            self._views.log_picture(step, key, path)

        self._drawn.append(self._artist.submit(work))

    def _raise_if_not_drawn(self, waiting: int) -> None:
        """Raises what drawing raised; waits until no more than so many pictures are being drawn."""
        while self._drawn and (len(self._drawn) > waiting or self._drawn[0].done()):
            self._drawn.popleft().result()
