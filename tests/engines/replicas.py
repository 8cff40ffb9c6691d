"""Replicas without GPUs: on the logical CPU devices of tests/conftest.py."""

import tensorflow as tf


def strategy_of(replicas):
    """The strategy for so many replicas."""
    if replicas == 1:
        return tf.distribute.OneDeviceStrategy("CPU:0")
    devices = [f"CPU:{i}" for i in range(replicas)]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())
