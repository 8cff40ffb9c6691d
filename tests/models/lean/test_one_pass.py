"""What is compiled on its own gives what it gives uncompiled."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from mae.models.lean.one_pass import one_pass
from mae.patches import normalised_target


def scaled_and_sum(x, y, factor):
    return ops.exp(x) * factor, ops.sum(x + y, axis=0)


ARRAYS = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


def compiled_calls(function, *specs):
    graph = tf.function(function, autograph=False).get_concrete_function(*specs).graph
    calls = [o for o in graph.get_operations() if o.type in ("PartitionedCall", "StatefulPartitionedCall")]
    return [o for o in calls if o.get_attr("_XlaMustCompile")]


def test_values_are_those_of_the_function():
    made = one_pass(scaled_and_sum)(*ARRAYS, factor=3.0)
    for ours, theirs in zip(made, scaled_and_sum(*ARRAYS, factor=3.0), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert np.allclose(one_pass(scaled_and_sum)(*ARRAYS, factor=2.0)[0], 2 * np.exp(ARRAYS[0]))


def test_it_is_compiled_also_where_a_size_is_not_known_before():
    function = one_pass(scaled_and_sum)
    run = tf.function(lambda x, y: function(x, y, factor=1.0), autograph=False)
    for rows in (5, 4):
        np.testing.assert_allclose(
            run(*map(tf.constant, ARRAYS[:, :rows]))[1], ARRAYS[:, :rows].sum(axis=(0, 1)), rtol=1e-5
        )
    specs = [tf.TensorSpec((None, 3))] * 2
    assert len(compiled_calls(lambda x, y: function(x, y, factor=1.0), *specs)) == 1


def test_beside_a_gpu_the_function_runs_as_it_stands(monkeypatch):
    function = one_pass(scaled_and_sum)
    devices = [tf.config.PhysicalDevice(f"/physical_device:{kind}:0", kind) for kind in ("CPU", "GPU")]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda: devices)
    assert not compiled_calls(lambda x, y: function(x, y, factor=1.0), *[tf.TensorSpec((5, 3))] * 2)
    np.testing.assert_allclose(function(*ARRAYS, factor=1.0)[0], np.exp(ARRAYS[0]), rtol=1e-6)


@pytest.mark.parametrize("target", ["videomae", "mae_st", "pixels"])
def test_targets(target):
    pixels = np.random.default_rng(0).random((2, 3, 2 * 4 * 4 * 3), "float32")
    settings = {"target": target, "in_channels": 3, "tubelet_size": 2}
    made = one_pass(normalised_target)(pixels, **settings)
    np.testing.assert_allclose(made, normalised_target(pixels, **settings), atol=1e-5)


def test_on_another_backend_it_is_the_function_itself(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert one_pass(scaled_and_sum) is scaled_and_sum
