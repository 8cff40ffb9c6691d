"""The schedule of learning rates as one of Keras' own."""

from dataclasses import asdict
from typing import Any

import keras

from mae.training import schedules


@keras.saving.register_keras_serializable("mae")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """See `mae.training.schedules.WarmupCosine`; any optimizer of Keras takes it as its learning rate."""

    def __init__(self, base: float, final: float, total_steps: int, warmup_steps: int, start: float = 0.0) -> None:
        self._values = schedules.warmup_cosine(base, final, total_steps, warmup_steps, start)

    def __call__(self, step: Any) -> Any:
        """A float for an int, a float32 scalar for a tensor."""
        return self._values(step)

    def get_config(self) -> dict[str, Any]:
        return asdict(self._values)


def warmup_cosine(base: float, final: float, total_steps: int, warmup_steps: int, start: float = 0.0) -> WarmupCosine:
    """The schedule of every published recipe, for any of Keras' optimizers and for `mae.build_optimizer`.

    Linear warm-up, then a cosine: update number i (from 0) uses the value `schedule(i)`.

    Args:
        base: reached at the end of the warm-up.
        final: reached at the end, and kept.
        total_steps: updates, warm-up included.
        warmup_steps: of them, from `start` to `base`.
        start: of the first update.

    Raises:
        ValueError: no steps at all, or a negative number of them.

    Example:
        >>> import mae
        >>> schedule = mae.warmup_cosine(base=1e-3, final=0.0, total_steps=30, warmup_steps=10)
        >>> tuple(round(schedule(i), 6) for i in (0, 9, 10, 20, 30))
        (0.0, 0.001, 0.001, 0.0005, 0.0)
    """
    return WarmupCosine(base, final, total_steps, warmup_steps, start)
