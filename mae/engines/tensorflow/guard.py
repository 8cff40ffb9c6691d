"""Updates that are not made: gradients that are not finite, and the loss scale that float16 needs to have few of them.

float16 ends at 65504 and its smallest steps are 6e-8: small gradients vanish in it. So the loss is multiplied before
the gradients are computed, and they are divided afterwards, in float32. The factor is found by trying (mixed precision
training, arXiv:1710.03740, section 3.2): halved after an update that overflowed, doubled after many that did not.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

GROWTH_STEPS = 2000  # updates without an overflow before the scale is doubled
LARGEST_SCALE = 2.0**24


class UpdateGuard:
    """Counts updates that were left out, and keeps the loss scale. All of it is state of the run."""

    def __init__(self, max_skipped: int = 0, loss_scale: float | None = None) -> None:
        """Made inside the strategy's scope.

        Args:
            max_skipped: updates in a row that may be left out; after one more no update is made any more.
            loss_scale: the first one; None: losses are not scaled.
        """
        self._max_skipped = max_skipped
        self._scaling = loss_scale is not None
        with keras.name_scope("guard"):
            self.skipped_steps = _scalar(0, "skipped_steps", "int64")
            self.skipped_in_row = _scalar(0, "skipped_in_row", "int64")
            self.good_in_row = _scalar(0, "good_in_row", "int64")  # since the scale changed
            # There in every precision, so that a run may go on in another one.
            self.loss_scale = _scalar(loss_scale or 1.0, "loss_scale", "float32")

    @property
    def variables(self) -> list[keras.Variable]:
        return [self.skipped_steps, self.skipped_in_row, self.good_in_row, self.loss_scale]

    def scaled(self, loss: Any) -> Any:
        """The loss whose gradients are computed."""
        return loss * self.loss_scale.value if self._scaling else loss

    def unscaled(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """Gradients of the loss itself."""
        # Powers of two: nothing is rounded.
        return [gradient / self.loss_scale.value for gradient in gradients] if self._scaling else gradients

    def judge(self, finite: Any) -> tuple[Any, dict[str, Any]]:
        """Whether the update is made, and scalars for the log; in a replica context, before the update.

        `skipped_in_row` counts this one; `halted` is 1 when no update will be made any more.
        """
        before = self.skipped_in_row.value
        made = tf.logical_and(finite, before <= self._max_skipped)
        in_row = tf.where(made, tf.zeros_like(before), before + 1)
        scalars = {
            "skipped_steps": self.skipped_steps.value + tf.cast(tf.logical_not(made), tf.int64),
            "skipped_in_row": in_row,
            "halted": in_row > self._max_skipped,
        }
        if self._scaling:
            scalars["loss_scale"] = self.loss_scale.value.read_value()
        return made, {name: tf.cast(value, tf.float32) for name, value in scalars.items()}

    def note_made(self, strategy: Any) -> None:
        """After an update; in cross-replica context."""
        _assign(strategy, self.skipped_in_row, lambda v: 0)
        if self._scaling:
            due = tf.equal(_value(strategy, self.good_in_row), GROWTH_STEPS - 1)
            _assign(strategy, self.good_in_row, lambda v: tf.where(due, tf.zeros_like(v), v + 1))
            _assign(strategy, self.loss_scale, lambda v: tf.where(due, tf.minimum(v * 2, LARGEST_SCALE), v))

    def note_skipped(self, strategy: Any) -> None:
        """Instead of an update; in cross-replica context."""
        _assign(strategy, self.skipped_steps, lambda v: v + 1)
        _assign(strategy, self.skipped_in_row, lambda v: v + 1)
        if self._scaling:
            _assign(strategy, self.good_in_row, tf.zeros_like)
            _assign(strategy, self.loss_scale, lambda v: tf.maximum(v / 2, 1.0))


def _scalar(value: float, name: str, dtype: str) -> keras.Variable:
    return keras.Variable(value, dtype=dtype, trainable=False, aggregation="only_first_replica", name=name)


def _value(strategy: Any, variable: keras.Variable) -> Any:
    return strategy.experimental_local_results(variable.value)[0].read_value()


def _assign(strategy: Any, variable: keras.Variable, new: Any) -> None:
    strategy.extended.update(variable.value, lambda v: v.assign(tf.cast(new(v), v.dtype)), group=False)
