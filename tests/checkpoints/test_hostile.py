"""Files that say of a model what cannot be: one line with file and field, nothing built, the model as it was."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from released_files import golden, pytorch_state, write
from test_load import build, values
from tiny import tiny_pretrainer

from mae.checkpoints import weights
from mae.checkpoints.containers.torch_zip import read_torch, write_torch
from mae.checkpoints.load import load_checkpoint
from mae.checkpoints.metadata import KEY
from mae.checkpoints.read import read_weights
from mae.checkpoints.run_state import variables_to_arrays, write_checkpoint
from mae.convert import build_model
from mae.errors import ConfigError

NAN = float("nan")


@pytest.fixture(scope="module")
def hugging(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: write("E5", kind, tmp_path_factory.mktemp(kind)) for kind in ("pretrainer", "classifier")}


@pytest.mark.parametrize("value", [0, -1, 10**12, 1.5, "x", NAN, None, True, [], {}, [[16]], "9" * 10_000])
@pytest.mark.parametrize(
    "field",
    ["image_size", "patch_size", "num_frames", "tubelet_size", "num_channels", "hidden_size", "num_hidden_layers",
     "num_attention_heads", "layer_norm_eps", "decoder_hidden_size", "intermediate_size"],
)  # fmt: skip
def test_sizes_in_a_config(field: str, value: Any, hugging: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(hugging["pretrainer"], tmp_path / "hf"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {field: value}))
    with pytest.raises(ConfigError, match=rf"config\.json: {field} holds .*; it may hold a ") as refused:
        read_weights(folder)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id2label": [1]}, "id2label holds a list of 1; it may hold a table"),
        ({"id2label": {"a": "b"}}, "id2label has the key 'a'"),
        ({"id2label": {"0": 7}}, "id2label 0 holds 7; it may hold text"),
        ({"use_mean_pooling": "no"}, "use_mean_pooling holds 'no'; it may hold true or false"),
        ({"model_type": ["videomae"]}, "is a a list of 1, not a VideoMAE"),
        ({"hidden_size": 48, "num_attention_heads": 3}, "states embed_dim=48, and its tensors are those"),
        ({"num_hidden_layers": 1000}, "states depth=1000, and its tensors"),
        ({"image_size": 65536, "patch_size": 1}, "tokens|states patch_size=1"),
        ({KEY: [1]}, "its value holds a list of 1; it may hold a table"),
        ({KEY: {"architecture": {"embed_dim": 10**9}}}, "embed_dim=1000000000 must be a whole number from 1 to 65536"),
        ({KEY: {"architecture": {"positions": ["sincos"]}}}, "positions a list of 1 does not exist"),
        ({KEY: {"architecture": {"colour": 1}}}, "the size 'colour' does not exist"),
        ({KEY: {"architecture": {}, "training": {"frame_stride": "x"}}}, "frame_stride holds 'x'"),
        ({KEY: {"architecture": {}, "training": {"mask_ratio": NAN}}}, "mask_ratio holds nan; it may hold a number"),
        ({KEY: {"architecture": {}, "training": {"sampler": {}}}}, r"sampler {} does not exist"),
        ({KEY: {"architecture": {}, "normalisation": [3]}}, "normalisation holds a list of 1"),
        ({KEY: {"architecture": {}, "normalisation": {"mean": "x" * 999, "std": {}}}}, "normalised by"),
        ({KEY: {"architecture": {}, "id2label": 3}}, "id2label holds 3"),
    ],
)  # fmt: skip
def test_the_rest_of_a_config(change: dict[str, Any], message: str, hugging: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(hugging["classifier"], tmp_path / "hf"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    model = build("classifier")
    before = values(model)
    with pytest.raises(ConfigError, match=message):
        load_checkpoint(folder, model)
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_no_names_is_a_way_to_name_no_classes(hugging: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(hugging["classifier"], tmp_path / "hf"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"id2label": None}))
    assert read_weights(folder).id2label == {}


def test_a_long_card_of_blanks_takes_no_time(hugging: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(hugging["classifier"], tmp_path / "hf"))
    (folder / "README.md").write_text("---\nlicense: x" + " " * 10_000_000 + "y\n---\n")
    assert read_weights(folder).training.licence is None
    (folder / "README.md").write_text("---\nlicense: x" + " " * 60_000 + "y\n---\n")
    with pytest.raises(ConfigError, match="licence holds 'x"):
        read_weights(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {"blocks.1023.norm1.weight": np.ones(24, "f4")}, "has no encoder/block_2/attention/qkv"),
        (lambda state: {"blocks.99999.norm1.weight": np.ones(24, "f4")}, "has no encoder/block_2/attention/qkv"),
        (lambda state: {"blocks." + "9" * 900 + ".norm1.weight": np.ones(24, "f4")}, "has no encoder/block_2"),
        (lambda state: {"blocks.0.mlp.fc1.bias": np.ones(1 << 16, "f4")}, r"fc1/kernel is \(24, 96\), in a model"),
        (lambda state: {"patch_embed.proj.weight": np.ones((1 << 14, 3, 1, 1, 1), "f4")}, "qkv/kernel is"),
        (lambda state: {"patch_embed.proj.weight": np.ones((24, 0, 2, 8, 8), "f4")}, "none of them empty"),
        (lambda state: {"patch_embed.proj.weight": np.ones((24, 384), "f4")}, "expected 4 or 5 axes"),
        (lambda state: {"norm.weight": np.array(1, "f4")}, "of one to five axes"),
        (lambda state: {"norm.weight": np.ones(24, "i8")}, "expected floats"),
        (lambda state: {"norm.weight": np.ones(24, "c8")}, "expected floats"),
        (lambda state: {"a\x1b[2Jb": np.ones(24, "f4")}, r"holds 'a\\x1b\[2Jb'; it may hold printable text"),
        (lambda state: {"a" * 2000: np.ones(24, "f4")}, r"\(2000 long\); it may hold printable text of up to 1000"),
        (lambda state: {f"a{i}": i for i in range(20_001)}, "entries in one table; it may hold 20000"),
    ],
)  # fmt: skip
def test_small_tensors_that_claim_a_large_model(change: Any, message: str, tmp_path: Path) -> None:
    state = pytorch_state(golden("classifier")[1])
    bare = {name.removeprefix("encoder."): tensor for name, tensor in state.items()}
    write_torch(tmp_path / "x.pth", {"module": bare | change(bare)})
    with pytest.raises(ConfigError, match=message):
        build_model(read_weights(tmp_path / "x.pth"), {"num_heads": 3})


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_frames": 2**14}, "out of proportion to its"),
        ({"num_frames": 2**16}, "there may be 131072"),
        ({"num_frames": 2 * 10**9}, "num_frames=2000000000 must be a whole number"),
        ({"image_size": 4 * 10**6}, "image_size=4000000 must be"),
        ({"image_size": 2**14, "patch_size": 2}, "there may be 131072"),
        ({"embed_dim": 48}, r"in an architecture of"),
        ({"depth": 1000}, "states depth=1000"),
        ({"decoder_embed_dim": 2**16}, "states decoder_embed_dim=65536"),
        ({"mlp_ratio": 64.0}, "states mlp_ratio=64.0"),
        ({"layer_norm_epsilon": NAN}, "layer_norm_epsilon=nan must be a number above 0"),
        ([1], "architecture holds a list of 1"),
        (None, "architecture holds None"),
    ],
)
def test_an_architecture_beside_small_weights(
    sizes: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run: nothing is computed for clips that would take more memory than a hundred such files."""
    model = tiny_pretrainer()
    told = {**asdict(model.architecture), **sizes} if isinstance(sizes, dict) else sizes
    meta = {"step": 1, "config": {}, "architecture": told}
    write_checkpoint(tmp_path / "x.npz", variables_to_arrays(model.variables), meta)
    monkeypatch.setattr(weights, "_FREE_VALUES", 1 << 16)
    with pytest.raises(ConfigError, match=message):
        build_model(read_weights(tmp_path / "x.npz"), {})


@pytest.mark.parametrize(
    "meta",
    [{"step": -1}, {"step": "x"}, {"step": NAN}, {"step": None}, {"config": []}, {"config": {"dataset": 3}},
     {"config": {"data": {"sampler": [1]}}}, {"config": {"mask_ratio": "x"}}, {"id2label": [1]}],
)  # fmt: skip
def test_what_a_run_says_of_itself(meta: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_pretrainer()
    told = {"step": 1, "config": {}, "architecture": asdict(model.architecture)} | meta
    write_checkpoint(tmp_path / "x.npz", variables_to_arrays(model.variables), told)
    with pytest.raises(ConfigError, match=r"x\.npz.*(holds|does not exist)"):
        read_weights(tmp_path / "x.npz")


def test_a_table_that_holds_itself_and_notes_of_pickled_things(tmp_path: Path) -> None:
    write_torch(tmp_path / "x.pth", {"model": {"module": {"model": {"module": {"model": {"module": {}}}}}}})
    with pytest.raises(ConfigError, match="holds no state dict"):
        read_weights(tmp_path / "x.pth")
    state = pytorch_state(golden("pretrainer")[1])
    for wrong in (
        {"architecture": {"embed_dim": np.ones(3)}},
        {"architecture": {"positions": (1, (2, 3))}},
        {"architecture": {"lean": np.ones(2)}},
        {"architecture": {}, "training": {"step": 2**70}},
    ):
        write_torch(tmp_path / "x.pth", {"model": state, KEY: wrong})
        with pytest.raises(ConfigError, match=r"x\.pth: what it says of its model is damaged"):
            read_weights(tmp_path / "x.pth")
    assert read_torch(tmp_path / "x.pth")["model"].keys() == state.keys()


def test_paths_that_no_file_system_takes(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 5000), Path("/".join(["x" * 200] * 30)), tmp_path / ("é" * 200)):
        with pytest.raises(ConfigError, match=r"no checkpoint") as refused:
            read_weights(path)
        assert len(str(refused.value)) < 500


def test_a_sparse_file_of_terabytes(tmp_path: Path) -> None:
    """Its size is no promise of as much memory."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 42], "data_offsets": [0, 1 << 44]}}).encode()
    with open(tmp_path / "x.safetensors", "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        try:
            file.truncate(8 + len(header) + (1 << 44) - 4096)
        except OSError:
            return  # a file system without such files
    with pytest.raises(ConfigError, match=r"damaged|more memory than there is"):
        read_weights(tmp_path / "x.safetensors")
