"""Steps of pre-training on clips of noise: what checks take as a training."""

import numpy as np

from mae.engines.engine import Engine, StepSettings, UpdateSettings
from mae.engines.optimizer_config import AdamWConfig
from mae.masking import num_masked, tube_mask
from mae.models.pretrainer import Pretrainer
from mae.presets import Architecture
from mae.pretraining.step import pretraining_losses

_ADAMW = AdamWConfig("adamw", 0.05, None, None, None, beta_1=0.9, beta_2=0.95, epsilon=1e-8)


class Trial:
    """A model with weights that depend on its sizes alone, and its step, on tube masks."""

    def __init__(
        self, engine: Engine, architecture: Architecture, batch_size: int, mask_ratio: float, precision: str
    ) -> None:
        """`batch_size`: clips of a step, on all replicas together."""

        self._engine, self._sizes, self._batch_size, self._mask_ratio = engine, architecture, batch_size, mask_ratio
        with engine.scope():
            self._model = Pretrainer(architecture, dtype=engine.dtype_policy(precision), name="pretrainer")
            self._model.build()
            optimizer = engine.optimizer(self._model, UpdateSettings(_ADAMW, 1e-3, 0.05))
        variables = self._model.trainable_variables
        drawn = [np.random.default_rng(i).normal(0.1, 0.3, v.shape) for i, v in enumerate(variables)]
        engine.assign(variables, [values.astype("float32") for values in drawn])
        losses = pretraining_losses(self._model, "videomae", num_masked("tube", architecture.grid, mask_ratio))
        self._step = engine.step(self._model, optimizer, losses, StepSettings(batch_size))

    def make_steps(self, steps: int) -> None:
        """Each on other clips; returns when the device is done."""
        for batch in self._engine.distribute(self._batch(seed) for seed in range(steps)):
            self._engine.scalars(self._step(batch))

    def weights(self) -> list[np.ndarray]:
        """What is trained, as it is now."""
        return self._engine.read(self._model.trainable_variables)

    def _batch(self, seed: int) -> dict[str, np.ndarray]:
        a, rng, clips = self._sizes, np.random.default_rng(seed), self._batch_size
        return {
            "videos": rng.integers(0, 256, (clips, *a.video_shape), "uint8"),
            "is_masked": tube_mask(a.grid, self._mask_ratio, clips, seed),
            "valid": np.ones(clips, "float32"),
            "short": np.zeros(clips, "float32"),
            "decode_ms": np.ones(clips, "float32"),
        }
