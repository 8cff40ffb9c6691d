import keras
import numpy as np
import pytest
from tiny import tiny_pretrainer

from mae.engines.weight_average import WeightAverage


def one_weight(value):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False, name="dense")])
    model.trainable_variables[0].assign([[value]])
    return model, model.trainable_variables[0]


def test_by_hand():
    model, weight = one_weight(1.0)
    average = WeightAverage(model.trainable_variables, decay=0.75)
    seen = []
    for value in (2.0, 3.0, 3.0):
        weight.assign([[value]])
        average.update()
        seen.append(float(average.variables[0].numpy()[0, 0]))
    assert seen == [1.25, 1.6875, 2.015625]  # 0.75 e + 0.25 w, from e = 1
    average.restart()
    assert float(average.variables[0].numpy()[0, 0]) == 3


def test_in_place_and_back_bit_for_bit():
    model = tiny_pretrainer()
    average = WeightAverage(model.trainable_variables, decay=0.5)
    for variable in average.variables:
        variable.assign(np.random.default_rng(7).normal(size=variable.shape))
    before = [v.numpy() for v in model.trainable_variables]

    def look():
        with average.in_place():
            for weight, variable in zip(model.trainable_variables, average.variables, strict=True):
                np.testing.assert_array_equal(weight.numpy(), variable.numpy())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look()
    for weight, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_averages_are_named_for_their_weights():
    model = tiny_pretrainer()
    paths = [variable.path for variable in WeightAverage(model.trainable_variables, decay=0.9).variables]
    assert paths == [f"ema/{weight.path}" for weight in model.trainable_variables]
