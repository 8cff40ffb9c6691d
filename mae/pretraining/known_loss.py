"""The loss on the fixed batch goes with the weights: who loads them and has the same batch can compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mae.checkpoints.load import LoadReport

_TOLERATED = 0.01  # of the loss: what another precision or processor makes of it is far less


@dataclass
class KnownLoss:
    """What the weights of a run have last been found to lose on its fixed batch."""

    digest: str  # of the fixed batch, see `FixedBatch.digest`
    loss: float | None = None  # None: not looked at yet
    step: int | None = None  # after which it was looked at

    def note(self, loss: float, step: int) -> None:
        """Takes the place of what was known before."""
        self.loss, self.step = loss, step

    def state(self) -> Mapping[str, Any]:
        """For the meta data of a checkpoint: see `mae.checkpoints.metadata.training_of_run`."""
        return {"digest": self.digest, "loss": self.loss, "step": self.step}

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Goes on from a checkpoint; one of an earlier version has none, and one of other clips tells nothing."""
        if state is not None and state["digest"] == self.digest:
            self.note(state["loss"], state["step"])

    def expected(self, loaded: LoadReport) -> float | None:
        """The loss that a checkpoint tells of its weights; None where it tells none of this batch."""
        return loaded.training.fixed_batch_loss if loaded.training.fixed_batch == self.digest else None


def compare_with_expected(loss: float, expected: float | None, loaded: LoadReport) -> str:
    """The loss right after loading, beside what the checkpoint tells; a second line where they differ."""
    line = f"fixed batch right after loading: loss {loss:.4f}"
    if expected is None:
        return line
    line += f", expected {expected:.4f} (from {loaded.path})"
    off = abs(loss - expected) / expected
    if off <= _TOLERATED:
        return line
    return (
        f"{line}\nNOTE: they differ by {100 * off:.0f} %: either the weights in the file are not those that it tells "
        "of, or the model computes something else with them than the one that was trained"
    )
