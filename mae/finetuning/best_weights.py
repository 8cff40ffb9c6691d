"""The weights with the best validation so far, beside a run's checkpoints."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mae.checkpoints.run_state import variables_to_arrays, write_checkpoint


class BestWeights:
    """Which step validated best; of equal ones the first. Its weights alone are kept: no run goes on from them."""

    def __init__(self, metric: str) -> None:
        """
        Args:
            metric: name of the figure that is compared; the larger the better.
        """
        self.metric = metric
        self.value = -math.inf
        self.step: int | None = None

    def improves(self, value: float) -> bool:
        return value > self.value

    def note(self, value: float, step: int) -> None:
        self.value, self.step = value, step

    def state(self) -> dict[str, Any] | None:
        """For the checkpoint's meta data; None before the first validation."""
        return None if self.step is None else {self.metric: self.value, "step": self.step}

    def restore(self, state: Mapping[str, Any] | None) -> None:
        if state is not None:
            self.note(state[self.metric], state["step"])

    @staticmethod
    def write(path: Path, model: Any, meta: Mapping[str, Any]) -> None:
        """A file as the run's checkpoints, without the optimizer's state."""
        write_checkpoint(path, variables_to_arrays(model.variables), meta)
