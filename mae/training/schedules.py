"""Values that follow the step: learning rate and weight decay."""

import math
import numbers
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WarmupCosine:
    """Linear warm-up, then a cosine: `schedule(step)` is the value the update number `step` (from 0) uses.

    Warm-up is `numpy.linspace(start, base, warmup_steps)`, both ends included: its first update uses `start`, its
    last one `base`. After it, with n the number of remaining updates, update i uses
    final + (base - final) · (1 + cos(πi/n)) / 2.
    """

    base: float
    final: float
    total_steps: int
    warmup_steps: int
    start: float = 0.0

    def __call__(self, step: Any) -> Any:
        """A float for an int, a float32 scalar for a tensor."""
        if isinstance(step, numbers.Real):
            return self._value(float(step), min, math.cos, lambda first, a, b: a if first else b)
        from keras import ops  # only here: figures are worked out before any engine is loaded

        return self._value(ops.cast(step, "float32"), ops.minimum, ops.cos, ops.where)

    def _value(self, step: Any, minimum: Any, cos: Any, where: Any) -> Any:
        warmup = self.start + (self.base - self.start) * step / max(self.warmup_steps - 1, 1)
        remaining = max(self.total_steps - self.warmup_steps, 1)
        progress = minimum((step - self.warmup_steps) / remaining, 1.0)
        cosine = self.final + (self.base - self.final) * (1 + cos(math.pi * progress)) / 2
        return where(step < self.warmup_steps, warmup, cosine)


def warmup_cosine(base: float, final: float, total_steps: int, warmup_steps: int, start: float = 0.0) -> WarmupCosine:
    """The schedule of every published recipe: see `WarmupCosine`.

    Raises:
        ValueError: no steps at all, or a negative number of them.
    """
    if total_steps < 1 or warmup_steps < 0:
        raise ValueError(f"total_steps={total_steps} must be at least 1 and warmup_steps={warmup_steps} at least 0")
    return WarmupCosine(base, final, total_steps, warmup_steps, start)
