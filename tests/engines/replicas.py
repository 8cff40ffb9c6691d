"""Replicas without GPUs: on the logical CPU devices of tests/conftest.py."""

import tensorflow as tf

from mae.engines.engine import StepSettings
from mae.engines.tensorflow.engine import TensorFlowEngine


def strategy_of(replicas):
    """The strategy for so many replicas."""
    if replicas == 1:
        return tf.distribute.OneDeviceStrategy("CPU:0")
    devices = [f"CPU:{i}" for i in range(replicas)]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())


def engine_of(replicas):
    """The engine of so many replicas."""
    return TensorFlowEngine(strategy_of(replicas))


def scalars_of_steps(engine, model, optimizer, losses_of, batches, **settings):
    """What a step gives for each of the batches, as numbers."""
    step = engine.step(model, optimizer, losses_of, StepSettings(len(batches[0]["valid"]), **settings))
    return [engine.scalars(step(batch)) for batch in engine.distribute(iter(batches))]
