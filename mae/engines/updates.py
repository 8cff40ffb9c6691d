"""The update of one tensor: Keras' optimizers, adapted only where their results would depend on something else.

Schedules, groups, decay, clipping and the sum over replicas are `mae.engines.optimizer.Optimizer`'s.
"""

from typing import Any

import keras
from keras import ops

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
        step = ops.cast(self.iterations + 1, "float32")
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        corrected = ops.sqrt(v / (1 - ops.power(self.beta_2, step))) + self.epsilon
        self.assign_sub(variable, learning_rate / (1 - ops.power(self.beta_1, step)) * m / corrected)


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
    return keras.optimizers.Muon(  # its updates have the size `rms_rate`, as those of arXiv:2502.16982
        rms_rate=config.rms,
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
