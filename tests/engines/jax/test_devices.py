import jax
import pytest

from mae.engines import nvidia
from mae.engines.engine import Setup
from mae.engines.jax.devices import CPU_CHUNK, chosen_devices, compute_dtype, suited_to_devices
from mae.engines.start import start_engine
from mae.errors import ConfigError, UnusedDevice
from mae.presets import architecture


def test_each_strategy_takes_its_devices():
    assert len(chosen_devices("auto")) == 1  # of a CPU
    assert len(chosen_devices("single")) == 1
    assert len(chosen_devices("mirrored")) == 4
    assert start_engine(Setup("mirrored")).describe_devices() == "4 logical CPU devices"
    assert start_engine(Setup()).describe_devices() == "CPU"


def test_what_is_not_there_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="strategy=tpu finds no TPU, only CPU"):
        chosen_devices("tpu")
    first = jax.devices()[:1]
    monkeypatch.setattr(jax, "devices", lambda: first)
    with pytest.raises(ConfigError, match="strategy=mirrored needs at least two devices"):
        chosen_devices("mirrored")
    with pytest.raises(ConfigError, match="shard_weights=true spreads weights over the devices of a process"):
        start_engine(Setup(shard_weights=True))


def test_a_driver_without_a_gpu_that_jax_sees_is_a_mistake_unless_it_is_meant(monkeypatch):
    monkeypatch.setattr(nvidia, "has_driver", lambda: True)
    for name in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UnusedDevice, match=r"JAX sees no GPU: pip install -e '\.\[jax-cuda\]'"):
        start_engine(Setup())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    start_engine(Setup())


class Gpu:
    platform = "gpu"

    def __init__(self, capability):
        self.compute_capability = capability


def test_precision_follows_the_devices():
    assert compute_dtype("auto", jax.devices()).compute_dtype == "float32"
    assert compute_dtype("auto", [Gpu("8.0"), Gpu("9.0")]).compute_dtype == "bfloat16"
    assert compute_dtype("auto", [Gpu("8.0"), Gpu("7.5")]).compute_dtype == "float32"
    assert compute_dtype("float16", jax.devices()).compute_dtype == "float16"


def test_attention_follows_the_devices_unless_it_is_given():
    sizes = architecture("vit_tiny")
    assert suited_to_devices(sizes, [], [Gpu("9.0")]).attention == "fused"
    assert suited_to_devices(sizes, ["attention", "lean"], [Gpu("9.0")]) == sizes
    assert suited_to_devices(sizes, [], jax.devices()).attention_chunk == CPU_CHUNK
    assert suited_to_devices(sizes, ["attention_chunk"], jax.devices()) == sizes
