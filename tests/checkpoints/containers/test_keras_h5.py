"""Keras 2 weights in HDF5: what Keras 2 itself writes, round trips, and files that are something else."""

from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tf_keras

from mae.checkpoints.containers import hdf5
from mae.checkpoints.containers.keras_h5 import read_keras_h5, write_keras_h5
from mae.errors import ConfigError

RANDOM = np.random.default_rng(0)
# The layout of a pre-trained model, with one tensor of each kind of name.
GROUPS = {
    "TFPretrainVisionTransformerEncoder": [
        ("model/patch_embed_encoder/patch_embed_proj/kernel:0", RANDOM.normal(size=(2, 4, 4, 3, 5)).astype(np.float32)),
        ("q_bias_id17:0", RANDOM.normal(size=5).astype(np.float32)),
        ("model/TFBlockEncoder1/dense_9/kernel:0", RANDOM.normal(size=(5, 15)).astype(np.float16)),
    ],
    "pos_drop": [],
    "encoder_to_decoder": [("encoder_to_decoder/kernel:0", RANDOM.normal(size=(5, 2)).astype(np.float32))],
    "top_level_model_weights": [("mask_token_pretrained:0", np.ones((1, 1, 2), np.float32))],
}


def assert_equal(read: dict, expected: dict) -> None:
    assert list(read) == list(expected)
    for layer, weights in expected.items():
        assert [name for name, _ in read[layer]] == [name for name, _ in weights]
        for (_, array), (_, other) in zip(read[layer], weights, strict=True):
            np.testing.assert_array_equal(array, other, strict=True)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    write_keras_h5(path, GROUPS)
    assert_equal(read_keras_h5(path).layers, GROUPS)
    with h5py.File(path) as file:
        assert dict(file.attrs).keys() == {"layer_names", "backend", "keras_version"}
        assert (file.attrs["backend"], file.attrs["keras_version"]) == ("tensorflow", "2.12.0")
        assert file.attrs["layer_names"].tolist() == list(GROUPS)[:3]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.h5"]
    write_keras_h5(path, {"head": GROUPS["encoder_to_decoder"]})
    assert list(read_keras_h5(path).layers) == ["head"]


def test_long_lists_of_names_are_split(tmp_path: Path) -> None:
    weights = [(f"{'block' * 40}{index}/kernel:0", np.full(1, index, np.float32)) for index in range(400)]
    path = tmp_path / "model.h5"
    write_keras_h5(path, {"encoder": weights, "other": []})
    with h5py.File(path) as file:
        assert {"weight_names0", "weight_names1"} <= file["encoder"].attrs.keys()
    assert_equal(read_keras_h5(path).layers, {"encoder": weights, "other": []})
    with pytest.raises(ConfigError, match="a name of 70000 bytes"):
        write_keras_h5(path, {"encoder": [("a" * 70000, np.ones(1))]})
    assert list(read_keras_h5(path).layers) == ["encoder", "other"]


def described(file: h5py.Group) -> dict:
    """Everything in a file: attributes with their types, datasets with types and values."""
    found = {}

    def note(name: str, node: h5py.Group | h5py.Dataset) -> None:
        attributes = {key: (np.asarray(value).dtype, np.asarray(value).tolist()) for key, value in node.attrs.items()}
        data = (node.dtype, node.shape, node[()].tolist()) if isinstance(node, h5py.Dataset) else None
        found[name] = (attributes, data)

    note("", file)
    file.visititems(note)
    return found


def test_the_same_structure_as_keras_2(tmp_path: Path) -> None:
    layers = [tf_keras.layers.Dense(3, name="second"), tf_keras.layers.Dropout(0.1), tf_keras.layers.Dense(2, name="a")]
    model = tf_keras.Sequential([tf_keras.Input((4,)), *layers])
    model.save_weights(tmp_path / "keras.h5")
    groups = read_keras_h5(tmp_path / "keras.h5").layers
    assert [name for name, _ in groups["second"]] == ["second/kernel:0", "second/bias:0"]
    write_keras_h5(tmp_path / "ours.h5", groups, tf_keras.__version__)
    with h5py.File(tmp_path / "keras.h5") as keras_file, h5py.File(tmp_path / "ours.h5") as ours:
        assert described(keras_file) == described(ours)
    before = [array.copy() for array in model.get_weights()]
    model.set_weights([array + 1 for array in before])
    model.load_weights(tmp_path / "ours.h5")
    for array, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(array, other)


def test_an_enclosing_group_and_text_attributes(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.create_group("optimizer_weights")
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = ["head"]
        head = weights.create_group("head")
        head.attrs["weight_names"] = np.array(["head/kernel:0"], dtype=h5py.string_dtype())
        head["head/kernel:0"] = np.ones(3)
    assert_equal(read_keras_h5(path).layers, {"head": [("head/kernel:0", np.ones(3))]})


def test_other_hdf5_files(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.save_weights(path)
    with pytest.raises(ConfigError, match=r"the weights of a Keras 3 model \(\.weights\.h5\)"):
        read_keras_h5(path)
    with h5py.File(path, "w") as file:
        file["images"] = np.ones(3)
    with pytest.raises(ConfigError, match="an HDF5 file with images in it; expected Keras 2 weights"):
        read_keras_h5(path)
    with pytest.raises(ConfigError, match="no file at"):
        read_keras_h5(tmp_path / "nowhere.h5")


def test_damage(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    write_keras_h5(path, GROUPS)
    whole = path.read_bytes()
    for kept in [*range(0, len(whole), 3001), len(whole) - 1]:
        path.write_bytes(whole[:kept])
        with pytest.raises(ConfigError, match="damaged"):
            read_keras_h5(path)


def test_lists_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"

    def change(message: str, **attributes: list[bytes]) -> None:
        write_keras_h5(path, {"head": [("head/kernel:0", np.ones(3))]})
        with h5py.File(path, "a") as file:
            for name, value in attributes.items():
                (file if name == "layer_names" else file["head"]).attrs[name] = value
        with pytest.raises(ConfigError, match=message):
            read_keras_h5(path)

    change("has no 'gone'", layer_names=[b"head", b"gone"])
    change("lists a layer twice", layer_names=[b"head", b"head"])
    change("has no 'head/head/bias:0'", weight_names=[b"head/kernel:0", b"head/bias:0"])
    change("lists a weight twice", weight_names=[b"head/kernel:0", b"/head//kernel:0"])
    change("is no array of numbers", weight_names=[b"head"])
    write_keras_h5(path, {"head": []})
    with h5py.File(path, "a") as file:
        del file["head"].attrs["weight_names"]
    with pytest.raises(ConfigError, match="has no attribute weight_names"):
        read_keras_h5(path)


def test_data_elsewhere_and_bombs(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    (tmp_path / "secret").write_bytes(bytes(800))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kernel:0"] = np.ones(3)

    def refused(message: str, put: Callable[[h5py.Group], object]) -> None:
        write_keras_h5(path, {"head": []})
        with h5py.File(path, "a") as file:
            file["head"].attrs["weight_names"] = [b"kernel:0"]
            put(file["head"])
        with pytest.raises(ConfigError, match=message):
            read_keras_h5(path)

    def virtual(head: h5py.Group) -> None:
        layout = h5py.VirtualLayout((3,), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "kernel:0", (3,))
        head.create_virtual_dataset("kernel:0", layout)

    outside = h5py.ExternalLink(str(tmp_path / "other.h5"), "kernel:0")
    refused("is a link", lambda head: head.__setitem__("kernel:0", outside))
    refused("is a link", lambda head: head.__setitem__("kernel:0", h5py.SoftLink("/elsewhere")))
    refused(
        "lies in another file",
        lambda head: head.create_dataset("kernel:0", (200,), "f4", external=[(str(tmp_path / "secret"), 0, 800)]),
    )
    refused("lies in another file", virtual)
    refused("declares 4000000000000 bytes", lambda head: head.create_dataset("kernel:0", (10**12,), "f4", chunks=(9,)))


def test_one_array_under_many_names_and_groups_without_end(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"

    def refused(message: str, put: Callable[[h5py.Group], object]) -> None:
        write_keras_h5(path, {"head": [("kernel:0", np.ones(9000))]})
        with h5py.File(path, "a") as file:
            put(file["head"])
        with pytest.raises(ConfigError, match=message):
            read_keras_h5(path)

    def linked(head: h5py.Group) -> None:
        head.attrs["weight_names"] = [b"kernel:0", b"again:0"]
        head["again:0"] = head["kernel:0"]

    def doubling(head: h5py.Group) -> None:
        for _ in range(40):
            inner = head.create_group("a")
            head["b"] = inner
            head = inner

    refused("lists 144000 bytes of arrays and has", linked)
    refused("the group 'head/self/self' is within itself|'head/self' is within itself",
            lambda head: head.__setitem__("self", head))  # fmt: skip
    refused("more than 20000 objects", doubling)


def test_what_is_compressed_comes_through_the_pipe(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    kernel, flags = RANDOM.normal(size=(300, 70)), np.array([True, False, True])
    write_keras_h5(path, {"head": []})
    with h5py.File(path, "a") as file:
        file["head"].attrs["weight_names"] = [b"kernel:0", b"flags:0", b"empty:0"]
        file["head"].create_dataset("kernel:0", data=kernel, compression="gzip", chunks=(7, 70))
        file["head"]["flags:0"], file["head"]["empty:0"] = flags, np.zeros((0, 3))
    expected = {"head": [("kernel:0", kernel), ("flags:0", flags), ("empty:0", np.zeros((0, 3)))]}
    assert_equal(read_keras_h5(path).layers, expected)


def test_a_compressed_array_that_is_damaged_is_not_taken_for_another(tmp_path: Path) -> None:
    """It has fewer bytes than the message of whoever cannot read it."""
    path = tmp_path / "model.h5"
    write_keras_h5(path, {"head": []})
    with h5py.File(path, "a") as file:
        file["head"].attrs["weight_names"] = [b"bias:0"]
        bias = file["head"].create_dataset("bias:0", data=np.arange(9.0), compression="gzip", chunks=(9,))
        place = bias.id.get_chunk_info(0).byte_offset
    whole = bytearray(path.read_bytes())
    whole[place + 2 : place + 8] = b"\xff" * 6
    path.write_bytes(whole)
    with pytest.raises(ConfigError, match="HDF5's library did not get through it"):
        read_keras_h5(path)


ARRAY = '{"groups": {}, "arrays": {"a": {"type": "<f4", "shape": [9]}}}'


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"did not get through it \(signal 11\)"),
        ("while True: pass", "takes longer to read than any file of its size"),
        ("bytes(1 << 40)", "did not get through it .*MemoryError"),
        ("print('['); sys.exit()", "what HDF5's library makes of it cannot be"),
        (f"print({ARRAY!r}); sys.exit()", "did not get through it"),
        (f"print({ARRAY.replace('9', '-9')!r}); sys.exit()", "the shape"),
        (f"print({ARRAY.replace('9', '1e99')!r}); sys.exit()", "the shape"),
    ],
)
def test_a_library_that_comes_to_harm_is_a_message(
    harm: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on files that nobody has found yet: the process that reads crashes, spins, takes all memory or lies."""
    path, child = tmp_path / "model.h5", tmp_path / "child.py"
    write_keras_h5(path, GROUPS)
    before, limits, after = hdf5._CHILD.read_text().partition("    limit(seconds, memory)\n")
    child.write_text(f"{before}{limits}    {harm}\n{after}")
    monkeypatch.setattr(hdf5, "_CHILD", child)
    monkeypatch.setattr(hdf5, "_SECONDS", 1)
    with pytest.raises(ConfigError, match=message):
        read_keras_h5(path)
