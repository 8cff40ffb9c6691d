"""The update of one tensor: Keras' optimizers, adapted only where their results would depend on something else.

Schedules, groups, decay, clipping and the sum over replicas are `mae.engines.tensorflow.optimizer.Optimizer`'s.
"""

import inspect
from typing import Any

import keras
import tensorflow as tf

from mae.engines.optimizer_config import AdamWConfig, LambConfig, LionConfig, MuonConfig, OptimizerConfig

# Muon is meant for matrices between hidden features: not for those that read pixels or write the output.
ADAM_PARTS = ("/patch_embed/", "/positions/", "/head/")


class Adam(keras.optimizers.Adam):
    """Keras' Adam with epsilon where the paper's algorithm 1 (arXiv:1412.6980) and PyTorch have it.

    Keras adds epsilon before the bias correction of the second moment. In the first steps, where √v is small, that
    makes updates of another size.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        step = tf.cast(self.iterations + 1, tf.float32)
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (tf.square(gradient) - v) * (1 - self.beta_2))
        corrected = tf.sqrt(v / (1 - tf.pow(self.beta_2, step))) + self.epsilon
        self.assign_sub(variable, learning_rate / (1 - tf.pow(self.beta_1, step)) * m / corrected)


class Muon(keras.optimizers.Muon):
    """Keras' Muon, the same in every supported release: 2-D tensors only, and updates of the size `rms`.

    Keras 3.12 takes 3-D tensors too, looks slots up by a path that TensorFlow's variables lack, and scales the update
    by √max(1, rows/columns), where later releases have `rms` · √max(rows, columns): √columns · `rms` in between.
    """

    def __init__(self, rms: float, **settings: Any) -> None:
        scales = "rms_rate" in inspect.signature(keras.optimizers.Muon).parameters
        super().__init__(**settings, **({"rms_rate": rms} if scales else {}))
        self._scales, self._rms = scales, rms

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) != 2 or super()._should_use_adamw(variable)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        variable.path = self._trainable_variables[self._get_variable_index(variable)].path
        if not self._scales and not self._should_use_adamw(variable):
            learning_rate = learning_rate * self._rms * variable.shape[1] ** 0.5
        super().update_step(gradient, variable, learning_rate)


def inner_optimizer(config: OptimizerConfig) -> keras.optimizers.Optimizer:
    """What computes the update for a choice of `optimizer=`. Its own rate is never used, its own decay is off."""
    common: dict[str, Any] = {"learning_rate": 0.0, "name": config.name}
    if isinstance(config, AdamWConfig):
        return Adam(beta_1=config.beta_1, beta_2=config.beta_2, epsilon=config.epsilon, **common)
    if isinstance(config, LambConfig):
        return keras.optimizers.Lamb(beta_1=config.beta_1, beta_2=config.beta_2, epsilon=config.epsilon, **common)
    if isinstance(config, LionConfig):
        return keras.optimizers.Lion(beta_1=config.beta_1, beta_2=config.beta_2, **common)
    assert isinstance(config, MuonConfig)
    return Muon(
        rms=config.rms,
        momentum=config.momentum,
        ns_steps=config.ns_steps,
        adam_beta_1=config.beta_1,
        adam_beta_2=config.beta_2,
        epsilon=config.epsilon,
        adam_lr_ratio=1,
        exclude_layers=list(ADAM_PARTS),
        weight_decay=None,
        **common,
    )
