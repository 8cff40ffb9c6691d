import pytest
import tensorflow as tf

from mae.errors import ConfigError
from mae.training import strategy as module
from mae.training.strategy import compute_dtype, describe_devices, make_strategy


def test_without_a_gpu_auto_and_single_take_the_cpu():
    for name in ("auto", "single"):
        strategy = make_strategy(name)
        assert strategy.num_replicas_in_sync == 1
        assert describe_devices(strategy).startswith("CPU")


def test_mirrored_takes_all_logical_cpus():
    strategy = make_strategy("mirrored")
    assert strategy.num_replicas_in_sync == 4
    assert describe_devices(strategy).startswith("4 logical CPU devices")


def test_mirrored_needs_two_devices(monkeypatch):
    one = tf.config.list_logical_devices("CPU")[:1]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: one if kind == "CPU" else [])
    with pytest.raises(ConfigError, match="at least two devices, found 1"):
        make_strategy("mirrored")


def test_a_gpu_that_tensorflow_does_not_see_is_mentioned(monkeypatch, tmp_path):
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(module, "_NVIDIA_DRIVER", tmp_path / "nvidiactl")
    assert "pip install -e '.[gpu]'" in describe_devices(make_strategy("auto"))


def test_precisions():
    assert compute_dtype("auto").compute_dtype == "float32"  # no GPU here
    mixed = compute_dtype("bfloat16")
    assert (mixed.compute_dtype, mixed.variable_dtype) == ("bfloat16", "float32")


@pytest.mark.parametrize(("capabilities", "expected"), [([(8, 0), (9, 0)], "bfloat16"), ([(8, 0), (7, 5)], "float32")])
def test_auto_is_bfloat16_where_all_gpus_have_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(range(len(capabilities))))
    details = {i: {"compute_capability": capability} for i, capability in enumerate(capabilities)}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    assert compute_dtype("auto").compute_dtype == expected
