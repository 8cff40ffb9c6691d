import keras
import pytest
from tiny import tiny_pretrainer

from mae.engines.parameter_groups import decays, learning_rate_scales, parameter_groups
from mae.errors import ConfigError


def test_every_variable_is_in_exactly_one_group():
    model = tiny_pretrainer(positions="learnable")
    for layer_decay in (None, 0.75):
        groups = parameter_groups(model, layer_decay)
        members = sorted(i for group in groups for i in group.variables)
        assert members == list(range(len(model.trainable_variables)))
        assert sum(group.size for group in groups) == model.count_params()


def test_what_does_not_decay():
    model = tiny_pretrainer(positions="learnable")
    spared = {v.path.removeprefix("pretrainer/") for v in model.trainable_variables if not decays(v)}
    assert {"decoder/mask_token", "encoder/positions/table", "encoder/patch_embed/bias"} <= spared
    assert "encoder/block_0/attention/q_bias" in spared
    assert "encoder/block_0/norm1/gamma" in spared
    assert not any(path.endswith("kernel") for path in spared)


def test_layer_decay_follows_depth():
    model = tiny_pretrainer(depth=3)
    scales = learning_rate_scales(model, 0.5)
    by_path = {
        v.path.removeprefix("pretrainer/"): s for v, (_, s) in zip(model.trainable_variables, scales, strict=True)
    }
    assert by_path["encoder/patch_embed/kernel"] == 0.5**4
    assert [by_path[f"encoder/block_{i}/mlp/fc1/kernel"] for i in range(3)] == [0.5**3, 0.5**2, 0.5]
    assert by_path["encoder/norm/gamma"] == 1
    assert by_path["decoder/block_0/mlp/fc1/kernel"] == 1
    assert by_path["decoder/mask_token"] == 1


def test_layer_decay_needs_an_encoder():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ConfigError, match=r"layer_decay=0\.5 needs a model with an encoder, got Sequential"):
        parameter_groups(model, 0.5)
