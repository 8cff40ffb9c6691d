"""SavedModels of Keras 2 and TensorFlow checkpoints, written by `tf_keras` and TensorFlow themselves."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from table_files import make_table
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

from mae.checkpoints.containers.crc32c import masked_crc32c
from mae.checkpoints.containers.sorted_table import read_table
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


def changed(prefix: Path, key: str, **fields: Any) -> Path:
    """Writes the index again, with right checksums, one tensor's entry changed (see `make_table`)."""
    rows = read_table(prefix.with_name(f"{prefix.name}.index"))
    entry = BundleEntryProto.FromString(rows[key.encode()])
    for size in fields.pop("dims", ()):
        if size is None:
            del entry.shape.dim[:]
        else:
            entry.shape.dim.add().size = size
    for name, value in fields.items():
        setattr(entry, name, value)
    prefix.with_name(f"{prefix.name}.index").write_bytes(make_table({**rows, key.encode(): entry.SerializeToString()}))
    return prefix


KERNEL = "kernel/.ATTRIBUTES/VARIABLE_VALUE"
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def test_a_table_of_ours_is_what_tensorflow_reads(small: Path) -> None:
    changed(small, KERNEL)
    np.testing.assert_array_equal(tf.train.load_checkpoint(str(small)).get_tensor(KERNEL), np.arange(64.0))
    np.testing.assert_array_equal(read_tf_checkpoint(small)["kernel"], np.arange(64.0))


@pytest.mark.parametrize(
    ("key", "fields", "message"),
    [
        (KERNEL, {"dims": (None, -8, -8)}, r"a tensor of shape \(-8, -8\)"),
        (KERNEL, {"dims": (None, 1 << 62, 1 << 62)}, "type number 1 with 256 bytes"),
        (KERNEL, {"dims": (None, 32)}, r"shape \(32,\) and type number 1 with 256 bytes"),
        (KERNEL, {"dims": (None, *[1] * 40)}, "a tensor of shape"),
        (KERNEL, {"dtype": 101}, "has the type number 101; expected numbers"),  # a reference
        (KERNEL, {"dtype": 21}, "has the type number 21; expected numbers"),  # a variant
        (KERNEL, {"dtype": 7}, r"bias|kernel"),
        (KERNEL, {"offset": -1}, "at -1 of data file 0 of 1"),
        (KERNEL, {"offset": 1 << 40}, "ends within kernel"),
        (KERNEL, {"size": -256}, "a tensor of -256 bytes"),
        (KERNEL, {"size": 1 << 40}, "with 1099511627776 bytes"),
        (KERNEL, {"shard_id": 1}, "data file 1 of 1"),
        (KERNEL, {"crc32c": 5}, "the checksum of kernel is wrong"),
        (GRAPH, {"dims": (10**9,)}, r"shape \(1000000000,\).* expected one text"),
        (GRAPH, {"size": 1 << 40}, r"declares \d+ bytes"),
        (GRAPH, {"dtype": 1}, "type number 1"),
        (GRAPH, {"crc32c": 5}, "its object graph: its checksum is wrong"),
    ],
)
def test_an_index_that_lies(key: str, fields: dict[str, Any], message: str, small: Path) -> None:
    if fields == {"dtype": 7}:  # a text is no weight: it is left out, and the rest is read
        assert set(read_tf_checkpoint(changed(small, key, **fields))) == {"bias"}
        return
    with pytest.raises(ConfigError, match=message):
        read_tf_checkpoint(changed(small, key, **fields))


def test_slices_are_named(small: Path) -> None:
    rows = read_table(small.with_name(f"{small.name}.index"))
    entry = BundleEntryProto.FromString(rows[KERNEL.encode()])
    entry.slices.add().extent.add().length = 3
    rows[KERNEL.encode()] = entry.SerializeToString()
    small.with_name(f"{small.name}.index").write_bytes(make_table(rows))
    with pytest.raises(ConfigError, match="kernel is kept in slices; expected whole tensors"):
        read_tf_checkpoint(small)


def test_big_endian(small: Path) -> None:
    index, data = (small.with_name(f"{small.name}.{end}") for end in ("index", "data-00000-of-00001"))
    rows = read_table(index)
    header = BundleHeaderProto.FromString(rows[b""])
    header.endianness = BundleHeaderProto.BIG
    entry = BundleEntryProto.FromString(rows[KERNEL.encode()])
    octets = np.arange(64, dtype=">f4").tobytes()
    with open(data, "r+b") as file:
        file.seek(entry.offset)
        file.write(octets)
    entry.crc32c = masked_crc32c(octets)
    bias = BundleEntryProto.FromString(rows[b"bias/.ATTRIBUTES/VARIABLE_VALUE"])
    rows |= {b"": header.SerializeToString(), KERNEL.encode(): entry.SerializeToString()}
    index.write_bytes(make_table(rows))
    read = read_tf_checkpoint(small)
    np.testing.assert_array_equal(read["kernel"], np.arange(64, dtype="f4"), strict=True)
    np.testing.assert_array_equal(read["bias"], np.ones(3, ">f4").view("<f4"))
    assert bias.size == 12
