"""SavedModels of Keras 2 and TensorFlow checkpoints, written by `tf_keras` and TensorFlow themselves."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from mae.checkpoints.containers.tensorflow_bundle import read_saved_model, read_tf_checkpoint
from mae.errors import ConfigError


def keras_2_model() -> Any:
    """A model of Keras 2 named like the released ones: biases without a path, a mask token of the model itself."""

    class Encoder(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="TFPretrainVisionTransformerEncoder")
            self.proj = keras.layers.Dense(3, name="dense_64")

        def build(self, shape: Any) -> None:
            self.proj.build(shape)
            self.q_bias_id17 = tf.Variable(tf.ones(3), name="q_bias_id17")
            super().build(shape)

        def call(self, x: Any) -> Any:
            return self.proj(x) + self.q_bias_id17

    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="pretrainer")
            self.encoder = Encoder()
            self.encoder_to_decoder = keras.layers.Dense(2, use_bias=False, name="encoder_to_decoder")
            self.mask_token_pretrained = tf.Variable(tf.ones((1, 1, 2)), name="mask_token_pretrained")

        def call(self, x: Any) -> Any:
            return self.encoder_to_decoder(self.encoder(x)) + self.mask_token_pretrained

    model = Model()
    model(tf.zeros((1, 4, 5)))
    return model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with `model/` (SavedModel) and `weights.*` (checkpoint), with optimizer and metrics, and the model."""
    folder = tmp_path_factory.mktemp("trained")
    model = keras_2_model()
    model.compile("adam", "mse")
    model.fit(tf.zeros((2, 4, 5)), tf.zeros((2, 4, 2)), verbose=0)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    model.save(folder / "model", save_format="tf")
    model.save_weights(folder / "weights", save_format="tf")
    return folder, model


def test_saved_model(trained: tuple[Path, Any]) -> None:
    folder, model = trained
    weights = read_saved_model(folder / "model")
    *listed, last = weights
    assert last[0] == "mask_token_pretrained"
    np.testing.assert_array_equal(last[1], model.mask_token_pretrained.numpy())
    assert [name.rpartition("/")[2] for name, _ in listed] == ["q_bias_id17", "kernel", "bias", "kernel"]
    expected = {variable.name.removesuffix(":0"): variable.numpy() for variable in model.variables}
    assert {name for name, _ in weights} == expected.keys()
    for name, array in weights:
        np.testing.assert_array_equal(array, expected[name], strict=True)


def test_the_order_is_that_of_the_numbers(tmp_path: Path) -> None:
    module = tf.train.Checkpoint(variables=[tf.Variable(float(n), name=f"layer/weight_{n}") for n in range(12)])
    (tmp_path / "variables").mkdir()
    module.write(str(tmp_path / "variables" / "variables"))
    weights = read_saved_model(tmp_path)
    assert [(name, array.item()) for name, array in weights] == [(f"layer/weight_{n}", n) for n in range(12)]


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00001"])
def test_checkpoint_of_keras_2(suffix: str, trained: tuple[Path, Any]) -> None:
    folder, model = trained
    weights = read_tf_checkpoint(folder / f"weights{suffix}")
    assert weights.keys() == {
        "encoder/proj/kernel",
        "encoder/proj/bias",
        "encoder/q_bias_id17",
        "encoder_to_decoder/kernel",
        "mask_token_pretrained",
    }
    np.testing.assert_array_equal(weights["encoder/proj/kernel"], model.encoder.proj.kernel.numpy(), strict=True)


def test_checkpoint_of_tensorflow(tmp_path: Path) -> None:
    block = tf.Module()
    block.gamma, block.half = tf.Variable([1.0, 2.0]), tf.Variable(tf.constant([1.5], tf.bfloat16))
    model = tf.train.Checkpoint(blocks=[block], text=tf.Variable("x"))
    path = model.save(str(tmp_path / "model"))
    weights = read_tf_checkpoint(path)
    assert weights.keys() == {"blocks/0/gamma", "blocks/0/half"}
    assert weights["blocks/0/half"].dtype == np.float32
    assert read_tf_checkpoint(tmp_path).keys() == weights.keys()
    with pytest.raises(ConfigError, match="without weights"):
        read_tf_checkpoint(tf.train.Checkpoint(n=tf.Variable("x")).write(str(tmp_path / "other")))
    with pytest.raises(ConfigError, match=r"holds 2 TensorFlow checkpoints"):
        read_tf_checkpoint(tmp_path)


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected an unpacked SavedModel"):
        read_saved_model(tmp_path)
    with pytest.raises(ConfigError, match=r"model\.index is missing"):
        read_tf_checkpoint(tmp_path / "model")


def test_a_saved_model_that_keras_2_did_not_write(tmp_path: Path) -> None:
    module = tf.Module()
    module.kernel = tf.Variable([1.0])
    tf.saved_model.save(module, tmp_path / "model")
    with pytest.raises(ConfigError, match=r"lists 0 variables.* that Keras 2 wrote"):
        read_saved_model(tmp_path / "model")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    model = tf.train.Checkpoint(kernel=tf.Variable(tf.range(64.0)), bias=tf.Variable(tf.ones(3)))
    return Path(model.write(str(tmp_path / "model")))


def test_truncated(small: Path) -> None:
    for suffix in (".index", ".data-00000-of-00001"):
        path = small.with_name(small.name + suffix)
        whole = path.read_bytes()
        for kept in [*range(0, len(whole), 41), len(whole) - 1]:
            path.write_bytes(whole[:kept])
            with pytest.raises(ConfigError, match=r"damaged|declares|missing"):
                read_tf_checkpoint(small)
        path.write_bytes(whole)
    read_tf_checkpoint(small)


def test_every_changed_byte_of_a_tensor_is_noticed(small: Path) -> None:
    path = small.with_name(f"{small.name}.data-00000-of-00001")
    whole = path.read_bytes()
    for position in range(0, 67 * 4, 9):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ConfigError, match="damaged"):
            read_tf_checkpoint(small)


def test_a_missing_data_file(small: Path) -> None:
    small.with_name(f"{small.name}.data-00000-of-00001").unlink()
    with pytest.raises(ConfigError, match=r"declares \d+ bytes of tensors and its data files have 0"):
        read_tf_checkpoint(small)


def test_an_index_of_something_else(small: Path) -> None:
    shutil.copy(__file__, small.with_name(f"{small.name}.index"))
    with pytest.raises(ConfigError, match="damaged or no TensorFlow checkpoint"):
        read_tf_checkpoint(small)
