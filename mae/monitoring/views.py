"""All that shows a run elsewhere while it trains, as `monitor=` says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mae.monitoring.background import Background
from mae.monitoring.tensorboard_run import TensorBoardRun
from mae.monitoring.wandb_run import WandbPlan, WandbRun


@dataclass(frozen=True)
class Views:
    """Copies of the records; with none, nothing is done."""

    threads: Sequence[Background]

    @classmethod
    def open(
        cls,
        monitors: Sequence[str],
        wandb: WandbPlan | None,
        run_dir: Path,
        config: Mapping[str, Any],
        first_step: int,
        say: Callable[[str], None],
    ) -> "Views":
        """Opens them, each in its thread; returns at once.

        Args:
            wandb: None where W&B is disabled.
            config: what they show beside the records.
            first_step: that is logged from now on; later ones that an earlier start left are to be forgotten.
            say: gets a line for each of them once it is open.
        """
        threads = []
        if "tensorboard" in monitors:
            threads.append(Background("TensorBoard", partial(TensorBoardRun, run_dir, config, first_step), say))
        if "wandb" in monitors and wandb is not None:
            threads.append(Background("W&B", partial(WandbRun.start, wandb, run_dir, config), say))
        return cls(threads)

    def log(self, record: Mapping[str, Any]) -> None:
        for thread in self.threads:
            thread.send(lambda view: view.log(record))

    def log_picture(self, step: int, key: str, path: Path) -> None:
        for thread in self.threads:
            thread.send(lambda view: view.log_picture(step, key, path))

    def finish(self, exit_code: int) -> None:
        for thread in self.threads:
            thread.finish(exit_code)
