"""Masks that are drawn where the model computes, for training by Keras' own `fit`."""

from typing import Any

import keras
from keras import ops

from mae.errors import ConfigError
from mae.masking import num_masked
from mae.presets import Architecture


class DrawnMasks:
    """Masks as a function of a seed and a number, the same whenever they are drawn.

    Of the kinds of `mae.masking`, those whose tubes, tokens or time steps are drawn independently of each other.
    """

    def __init__(self, kind: str, mask_ratio: float, architecture: Architecture, seed: int) -> None:
        """
        Args:
            kind: tube, random or frame.
            mask_ratio: in (0, 1), see `mae.masking.tube_mask`.

        Raises:
            ConfigError: another kind, or a ratio that leaves nothing masked or visible.
        """
        self.grid = architecture.grid
        self.count = num_masked(kind, self.grid, mask_ratio)
        if kind == "block":
            raise ConfigError(
                "masking=block draws one box after the other, which no compiled step does: draw masks with "
                "mae.block_mask, give them with the clips, {'videos': …, 'is_masked': …}, and say masking=random, "
                "which hides as many tokens"
            )
        t, h, w = self.grid
        self._kind = kind
        self._units = {"tube": h * w, "frame": t}.get(kind, t * h * w)  # what is masked as a whole
        self._seed = seed
        self._generator = keras.random.SeedGenerator(seed)  # of which no state is used or kept

    def draw(self, batch: Any, number: Any) -> Any:
        """(b, n) bool, True where masked."""
        state = self._generator.state
        numbers = [ops.cast(self._seed, state.dtype), ops.cast(number, state.dtype)]
        with keras.StatelessScope([(state, ops.stack(numbers))]):
            drawn = keras.random.uniform((batch, self._units), seed=self._generator)
        t, h, w = self.grid
        ranks = ops.argsort(ops.argsort(drawn, axis=1), axis=1)
        is_masked = ranks < self.count * self._units // (t * h * w)
        if self._kind == "tube":
            return ops.tile(is_masked, (1, t))
        return ops.repeat(is_masked, h * w, axis=1) if self._kind == "frame" else is_masked
