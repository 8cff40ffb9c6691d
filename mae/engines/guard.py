"""Updates that are not made: gradients that are not finite, and the loss scale that float16 needs to have few of them.

float16 ends at 65504 and its smallest steps are 6e-8: small gradients vanish in it. So the loss is multiplied before
the gradients are computed, and they are divided afterwards, in float32. The factor is found by trying (mixed precision
training, arXiv:1710.03740, section 3.2): halved after an update that overflowed, doubled after many that did not.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

GROWTH_STEPS = 2000  # updates without an overflow before the scale is doubled
LARGEST_SCALE = 2.0**24


class UpdateGuard:
    """Counts updates that were left out, and keeps the loss scale. All of it is state of the run."""

    def __init__(self, max_skipped: int = 0, loss_scale: float | None = None) -> None:
        """Made inside the engine's scope.

        Args:
            max_skipped: updates in a row that may be left out; after one more no update is made any more.
            loss_scale: the first one; None: losses are not scaled.
        """
        self._max_skipped = max_skipped
        self._scaling = loss_scale is not None
        with keras.name_scope("guard"):
            self.skipped_steps = _scalar(0, "skipped_steps", "int")
            self.skipped_in_row = _scalar(0, "skipped_in_row", "int")
            self.good_in_row = _scalar(0, "good_in_row", "int")  # since the scale changed
            # There in every precision, so that a run may go on in another one.
            self.loss_scale = _scalar(loss_scale or 1.0, "loss_scale", "float32")

    @property
    def variables(self) -> list[keras.Variable]:
        return [self.skipped_steps, self.skipped_in_row, self.good_in_row, self.loss_scale]

    def scaled(self, loss: Any) -> Any:
        """The loss whose gradients are computed."""
        return loss * ops.convert_to_tensor(self.loss_scale) if self._scaling else loss

    def unscaled(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """Gradients of the loss itself."""
        if not self._scaling:
            return gradients
        scale = ops.convert_to_tensor(self.loss_scale)  # a power of two: nothing is rounded
        return [gradient / scale for gradient in gradients]

    def judge(self, finite: Any) -> tuple[Any, dict[str, Any]]:
        """Whether the update is made, and scalars for the log, before the update.

        `skipped_in_row` counts this one; `halted` is 1 when no update will be made any more.
        """
        before = ops.convert_to_tensor(self.skipped_in_row)
        made = ops.logical_and(finite, before <= self._max_skipped)
        in_row = ops.where(made, ops.zeros_like(before), before + 1)
        skipped = ops.convert_to_tensor(self.skipped_steps)
        scalars = {
            "skipped_steps": skipped + ops.cast(ops.logical_not(made), skipped.dtype),
            "skipped_in_row": in_row,
            "halted": in_row > self._max_skipped,
        }
        if self._scaling:
            scalars["loss_scale"] = ops.convert_to_tensor(self.loss_scale)
        return made, {name: ops.cast(value, "float32") for name, value in scalars.items()}

    def note_made(self) -> None:
        """After an update."""
        self.skipped_in_row.assign(0)
        if self._scaling:
            good, scale = ops.convert_to_tensor(self.good_in_row), ops.convert_to_tensor(self.loss_scale)
            due = ops.equal(good, GROWTH_STEPS - 1)
            self.good_in_row.assign(ops.where(due, ops.zeros_like(good), good + 1))
            self.loss_scale.assign(ops.where(due, ops.minimum(scale * 2, LARGEST_SCALE), scale))

    def note_skipped(self) -> None:
        """Instead of an update."""
        self.skipped_steps.assign_add(1)
        self.skipped_in_row.assign_add(1)
        if self._scaling:
            self.good_in_row.assign(0)
            self.loss_scale.assign(ops.maximum(ops.convert_to_tensor(self.loss_scale) / 2, 1.0))


def _scalar(value: float, name: str, dtype: str) -> keras.Variable:
    return keras.Variable(value, dtype=dtype, trainable=False, aggregation="only_first_replica", name=name)
