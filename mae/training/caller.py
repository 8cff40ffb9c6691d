"""Who has a run made: a command, or a program in Python, which is called while it trains."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Callback:
    """What `mae.pretrain` and `mae.finetune` call while a run trains, for a tracker or plots of one's own.

    Each method does nothing until a subclass says what it does. It is called on the process that writes the run
    directory, in the thread that trains, which waits for it. What it raises ends the run as it is: everything saved
    until then is complete, and the same call goes on from there.

    Example:
        >>> import mae
        >>> class Losses(mae.Callback):
        ...     def __init__(self):
        ...         self.seen = []
        ...     def on_log(self, record):
        ...         self.seen.append((record["step"], record["loss"]))
        >>> losses = Losses()
        >>> losses.on_log({"step": 20, "loss": 0.75})
        >>> losses.seen
        [(20, 0.75)]
    """

    def on_log(self, record: dict[str, Any]) -> None:
        """Called once a record is written to `metrics.jsonl`.

        Args:
            record: `step` (updates made) and the figures since the record before, as docs/monitoring.md lists them;
                one that is unknown is None. Of a look before the first step, `step` is 0 and there is no `loss`.
        """

    def on_evaluation(self, step: int, figures: dict[str, Any]) -> None:
        """Called once the model was looked at: on held-out videos, or by its reconstructions and features.

        Args:
            step: updates made.
            figures: what was found, as `val_top1` or `fixed_batch_loss`, shares between 0 and 1; the record that
                `on_log` gets next has them as well.
        """

    def on_checkpoint(self, step: int, path: Path) -> None:
        """Called once a checkpoint is written, and read back.

        Args:
            step: updates made.
            path: the file, which the run removes again once newer ones are there (`keep_checkpoints`).
        """


class CallbackFailed(Exception):
    """What a callback raised, on its way through a run, where nothing may take it for an error of the run's own."""

    def __init__(self, raised: Exception) -> None:
        super().__init__(str(raised))
        self.raised = raised


@dataclass(frozen=True)
class Caller:
    """Who has a run made."""

    command: Sequence[str] = field(default_factory=lambda: tuple(sys.orig_argv[1:]))  # noted in the run directory
    callbacks: Sequence[Callback] = ()

    def call(self, what: Callable[[Callback], None]) -> None:
        """Calls something of each callback; raises `CallbackFailed` for what the first of them raises."""
        for callback in self.callbacks:
            try:
                what(callback)
            except Exception as error:
                raise CallbackFailed(error) from error
