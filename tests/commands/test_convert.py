import hashlib
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from mae.checkpoints.containers.torch_zip import read_torch, write_torch
from mae.checkpoints.load import load_checkpoint
from mae.checkpoints.metadata import Training
from mae.checkpoints.read import read_weights
from mae.checkpoints.save import save_checkpoint
from mae.convert import SIZES as ALL_SIZES
from mae.convert import TRAINING, parse
from mae.convert import run as convert
from mae.data.lists.class_names import read_labels
from mae.errors import ConfigError
from mae.models.classifier import build_classifier
from mae.models.pretrainer import build_pretrainer

SIZES = {
    "image_size": 32,
    "num_frames": 4,
    "patch_size": 8,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 3,
    "positions": "sincos",
    "decoder_embed_dim": 12,
    "decoder_depth": 1,
    "decoder_num_heads": 3,
}
# What a .pth does not tell of sizes that no preset has.
TOLD = ["num_heads=3", "image_size=32", "num_frames=4"]
NAMES = {"huggingface": "hf", "pytorch": "x.pth", "keras_h5": "x.h5", "keras": "x.keras", "savedmodel": "saved"}


@pytest.fixture
def classifier():
    model = build_classifier("vit_tiny", num_classes=3, **SIZES)
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(np.random.default_rng(i).normal(0.1, 0.3, variable.shape))
    return model


def released(model, path):
    """A .pth as others write it: weights and nothing else."""
    save_checkpoint(model, path, "pytorch")
    write_torch(path, {"module": read_torch(path)["module"]})


@pytest.mark.parametrize("to", NAMES)
def test_any_format_from_pytorch_and_back(to, classifier, tmp_path):
    released(classifier, tmp_path / "in.pth")
    printed = convert([str(tmp_path / "in.pth"), str(tmp_path / NAMES[to]), f"to={to}", *TOLD])
    assert "32 tensors" in printed
    convert([str(tmp_path / NAMES[to]), str(tmp_path / "back.pth"), "to=pytorch"])
    before, after = (read_torch(tmp_path / name)["module"] for name in ("in.pth", "back.pth"))
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


def test_label_names_are_given_and_then_carried_from_format_to_format(classifier, tmp_path):
    (tmp_path / "names.txt").write_text("jump\nrun\nsit\n")
    released(classifier, tmp_path / "in.pth")
    names = [f"classes={tmp_path / 'names.txt'}"]
    convert([str(tmp_path / "in.pth"), str(tmp_path / "0"), "to=huggingface", *names, *TOLD])
    previous = tmp_path / "0"
    for to in ("savedmodel", "keras_h5", "pytorch", "keras"):
        convert([str(previous), str(tmp_path / NAMES[to]), f"to={to}"])
        previous = tmp_path / NAMES[to]
        model = build_classifier("vit_tiny", num_classes=3, **SIZES)
        assert load_checkpoint(previous, model).id2label == {0: "jump", 1: "run", 2: "sit"}


@pytest.mark.parametrize("text", ['["a", "b"]', '{"0": "a", "1": "b"}', "a\nb\n"])
def test_label_files(text, tmp_path):
    (tmp_path / "names").write_text(text)
    assert read_labels(tmp_path / "names") == {0: "a", 1: "b"}


def test_anything_left_over_means_nothing_is_written(classifier, tmp_path):
    save_checkpoint(classifier, tmp_path / "in.pth", "pytorch")
    state = read_torch(tmp_path / "in.pth")["module"]
    write_torch(tmp_path / "more.pth", {"module": {**state, "blocks.0.attn.k_bias": np.zeros(24, "f4")}})
    with pytest.raises(ConfigError, match=r"unexpected: blocks.0.attn.k_bias"):
        convert([str(tmp_path / "more.pth"), str(tmp_path / "hf"), "to=huggingface", *TOLD])
    del state["head.bias"]
    write_torch(tmp_path / "less.pth", {"module": state})
    with pytest.raises(ConfigError, match="missing: head/bias"):
        convert([str(tmp_path / "less.pth"), str(tmp_path / "hf"), "to=huggingface", *TOLD])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.pth", "less.pth", "more.pth"]


def test_an_encoder_alone_is_written_where_there_is_a_place_for_it(classifier, tmp_path):
    save_checkpoint(classifier, tmp_path / "whole.pth", "pytorch")
    state = read_torch(tmp_path / "whole.pth")["module"]
    source = str(tmp_path / "encoder.pth")
    write_torch(source, {"module": {name: tensor for name, tensor in state.items() if not name.startswith("head.")}})
    convert([source, str(tmp_path / "x.keras"), "to=keras", *TOLD])
    again = read_weights(tmp_path / "x.keras")
    assert again.kind == "encoder"
    np.testing.assert_array_equal(again.arrays["encoder/block_1/mlp/fc1/bias"], state["blocks.1.mlp.fc1.bias"])
    with pytest.raises(
        ConfigError, match="is an encoder alone, neither decoder nor head to write: give one of to=keras"
    ):
        convert([source, str(tmp_path / "y.pth"), "to=pytorch", *TOLD])


def test_sizes_that_nothing_tells_are_asked_for(classifier, tmp_path):
    released(classifier, tmp_path / "in.pth")
    with pytest.raises(ConfigError, match=r"does not tell num_heads.*: give num_heads=…"):
        convert([str(tmp_path / "in.pth"), str(tmp_path / "hf"), "to=huggingface"])


def test_values_that_are_set_have_the_types_of_their_fields():
    pairs = ["num_heads=6", "head_norm_epsilon=1e-5", "lean=False", "frame_stride=2", "mask_ratio=0.75", "licence=MIT"]
    pairs += ["channels=grey"]
    assert parse(["in", "out", "to=pytorch", *pairs]).given([*ALL_SIZES, *TRAINING]) == {
        "num_heads": 6,
        "head_norm_epsilon": 1e-5,
        "lean": False,
        "frame_stride": 2,
        "mask_ratio": 0.75,
        "licence": "MIT",
        "channels": "grey",
    }
    assert {*TRAINING, "window", "step", "fixed_batch", "fixed_batch_loss"} == {
        field.name for field in fields(Training)
    }


def test_a_size_is_one_number_or_both_and_a_mean_one_for_each_channel():
    assert parse(["a", "b", "to=keras", "image_size=96"]).image_size == 96
    assert parse(["a", "b", "to=keras", "image_size=[96, 160]", "mean=[0.5,0.25]"]).image_size == [96, 160]
    assert parse(["a", "b", "to=keras", "mean=[0.5,0.25]"]).mean == [0.5, 0.25]
    with pytest.raises(ConfigError, match="image_size: Value 'x' of type 'str' could not be converted to Integer"):
        parse(["a", "b", "to=keras", "image_size=[96,x]"])


def test_describe(tmp_path):
    model = build_pretrainer("vit_tiny", **SIZES)
    save_checkpoint(model, tmp_path / "x.pth", "pytorch")
    text = convert([str(tmp_path / "x.pth"), "describe=true"])
    assert "PyTorch" in text
    assert "pretrainer" in text
    assert hashlib.sha256((tmp_path / "x.pth").read_bytes()).hexdigest() in text
    assert [line.split() for line in text.splitlines() if "decoder_embed_dim" in line] == [["decoder_embed_dim", "12"]]
    write_torch(tmp_path / "x.pth", {"model": read_torch(tmp_path / "x.pth")["model"]})
    text = convert([str(tmp_path / "x.pth"), "describe=true"])
    said = dict(re.findall(r"^ *(\w+) +(.+?) \(assumed: the file does not tell\)$", text, re.MULTILINE))
    assert said == {
        "image_size": "224",
        "num_frames": "16",
        "positions": "sincos",
        "layer_norm_epsilon": "1e-06",
        "frame_stride": "4",
        "sampler": "dense_stride",
        "target": "videomae",
        "masking": "tube",
        "mask_ratio": "0.9",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "give OUT and to=FORMAT"),
        (["x", "y", "describe=true"], "describe=true writes nothing"),
        (["x", "y", "to=hf", "--whatever"], "there is no flag --whatever"),
        (["x", "y", "to=hf", "num_head=3"], "argument 'num_head' does not exist; did you mean 'num_heads'"),
        (["x", "y", "to=hf", "num_heads=three"], "num_heads: Value 'three'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ConfigError, match=message):
        parse(arguments)


def test_the_format_behind_dashes_is_the_same():
    asked = parse(["in", "out", "to=pytorch"])
    assert asked.to == "pytorch"
    assert parse(["in", "out", "--to", "pytorch"]) == parse(["in", "--to=pytorch", "out"]) == asked


def test_a_mistake_is_one_line_and_status_2(tmp_path):
    command = [sys.executable, "-m", "mae.convert", "nowhere.pth", "out", "to=huggingface"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no checkpoint at nowhere.pth")
    assert done.stderr.count("\n") == 1
    assert not (root / "out").exists()


def test_labels_of_a_hugging_face_folder(classifier, tmp_path):
    save_checkpoint(classifier, tmp_path / "hf", "huggingface")
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    assert load_checkpoint(tmp_path / "hf", build_classifier("vit_tiny", num_classes=3, **SIZES)).id2label == {}
