"""Replicas without GPUs: on the logical CPU devices of tests/conftest.py."""

from types import MappingProxyType

import keras
import numpy as np
import pytest

from mae.checkpoints.run_state import variables_to_arrays
from mae.seeds import seed_initializers


def strategy_of(replicas):
    """TensorFlow's strategy for so many replicas."""
    import tensorflow as tf

    if replicas == 1:
        return tf.distribute.OneDeviceStrategy("CPU:0")
    devices = [f"CPU:{i}" for i in range(replicas)]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())


def engine_of(replicas, shard_weights=False):
    """The engine of Keras' backend, with so many replicas."""
    if keras.config.backend() == "jax":
        import jax

        from mae.engines.jax.engine import JaxEngine

        return JaxEngine(jax.devices()[:replicas], shard_weights)
    from mae.engines.tensorflow.engine import TensorFlowEngine

    return TensorFlowEngine(strategy_of(replicas))


class CompiledStep:
    """A step that is compiled once and trains from the same beginning again and again.

    Args:
        build: makes a model, its initial values a function of the seed, and its optimizer.
        losses_of: the losses of a model.
    """

    def __init__(self, engine, build, losses_of, settings):
        seed_initializers(0)
        with engine.scope():
            self.model, optimizer = build()
        self.engine, self.parts = engine, settings.accumulate
        self.variables = [*self.model.variables, *optimizer.variables]
        self.begin = engine.read(self.variables)
        self.step = engine.step(self.model, optimizer, losses_of(self.model), settings)

    def train(self, batches, begin=MappingProxyType({})):
        """The values of all variables by name, and scalars, after a step on each of the batches.

        `begin`: of variables that begin with another value than they were made with.
        """
        values = zip(self.variables, self.begin, strict=True)
        self.engine.assign(self.variables, [begin.get(variable.path, value) for variable, value in values])
        scalars = [self.engine.scalars(self.step(batch)) for batch in self.engine.distribute(iter(batches), self.parts)]
        return variables_to_arrays(self.variables, self.engine.read), scalars


def clip_losses(model, losses_of, made):
    """The loss of each clip of a batch, in training; `losses_of`: of the model."""

    def of_values(*values):
        return losses_of(dict(zip(made, values, strict=True)))

    return engine_of(1).local(model, of_values)(*made.values())


def assert_same_training(made, expected):
    """What two ways of computing the same steps gave, as `CompiledStep.train` gives it."""
    (state, scalars), (expected_state, expected_scalars) = made, expected
    for name, value in expected_state.items():
        np.testing.assert_allclose(state[name], value, atol=1e-6, err_msg=name)
    for one, other in zip(scalars, expected_scalars, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
