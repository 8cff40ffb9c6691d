"""The same encoder as others save it: prefixes, wrappers, frameworks, and relatives that are refused by their name."""

import argparse
import io
import json
import pickle
import sys
import types
from collections import OrderedDict, defaultdict, deque
from pathlib import Path

import numpy as np
import pytest
from released_files import golden, pytorch_state, without_encoder, write_hugging_face
from safetensors.numpy import save_file
from test_load import build, outputs

from mae.checkpoints.containers.torch_pickle import Foreign, Namespace, unpickle
from mae.checkpoints.containers.torch_zip import write_torch
from mae.checkpoints.load import load_checkpoint, load_weights
from mae.checkpoints.read import read_weights
from mae.checkpoints.state_dict import from_state_dict, state_dict
from mae.errors import ConfigError
from mae.models.positions import position_table

KINDS = ("pretrainer", "classifier")
GRID = (2, 4, 4)  # of the golden models
SOURCE = Path("file")


def released(kind):
    """The golden model by the names of the release."""
    state = pytorch_state(golden(kind)[1])
    return state if kind == "pretrainer" else without_encoder(state)


def read(state):
    return from_state_dict(dict(state), SOURCE)


def prefixed(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def assert_same(weights, reference):
    assert weights.unknown == []
    assert weights.kind == reference.kind
    assert weights.arrays.keys() == reference.arrays.keys()
    for name, array in reference.arrays.items():
        np.testing.assert_array_equal(weights.arrays[name], array, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "backbone.", "encoder.", "student.", "net.", "network.", "_orig_mod.", "model.net.",
     "module.module.", "net._orig_mod.model.", "student.backbone.", "encoder.encoder."],
)  # fmt: skip
def test_what_training_loops_put_before_names_is_seen_through(prefix, kind):
    assert_same(read(prefixed(prefix, released(kind))), read(released(kind)))
    theirs = golden(kind)[1]
    assert_same(read(prefixed(prefix, theirs)), read(theirs))


def test_an_encoder_of_transformers_alone_behind_a_prefix():
    theirs = golden("pretrainer")[1]
    bare = {name.removeprefix("videomae."): t for name, t in theirs.items() if name.startswith("videomae.")}
    assert read(bare).kind == "encoder"
    for prefix in ("encoder.", "model.backbone."):
        assert_same(read(prefixed(prefix, bare)), read(bare))


@pytest.mark.parametrize(
    "wrapper",
    ["model", "module", "state_dict", "model_state_dict", "net", "student", "backbone", "model_ema", "state_dict_ema",
     "ema"],
)  # fmt: skip
def test_entries_that_hold_the_weights(wrapper):
    state = released("classifier")
    args = Namespace({"lr": 0.1, "model": "vit_base"})
    tree = {"epoch": 3, wrapper: state, "optimizer": {"state": {0: {"exp_avg": np.ones(3)}}}, "args": args}
    tensors, aside = state_dict(tree, SOURCE)
    assert_same(read(tensors), read(state))
    assert aside == ["epoch", "optimizer", "args"]


def test_the_weights_themselves_go_before_their_average_and_before_a_teacher():
    state = released("classifier")
    other = {name: tensor + 1 for name, tensor in state.items()}
    tensors, aside = state_dict({"model_ema": other, "model": state, "ema": other}, SOURCE)
    assert_same(read(tensors), read(state))
    assert aside == ["model_ema", "ema"]
    flat = prefixed("teacher.", other) | prefixed("student.", state) | {"n_averaged": np.array(7)}
    weights = read(flat)
    assert_same(weights, read(state))
    assert len(weights.set_aside) == len(state) + 1
    assert_same(read(prefixed("ema_model.module.", state) | {"n_averaged": np.array(7)}), read(state))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype, tmp_path):
    halves = {name: tensor.astype(dtype) for name, tensor in released("classifier").items()}
    write_torch(tmp_path / "half.pth", {"module": halves})
    model = build("classifier")
    load_checkpoint(tmp_path / "half.pth", model)
    np.testing.assert_array_equal(np.asarray(model.head.kernel), halves["head.weight"].astype("float32").T)


class Attributes(dict):
    """As Lightning keeps hyper-parameters."""


class History:
    """As mmengine keeps losses: arrays, and methods by name."""

    def __init__(self):
        self.values = np.ones(3)
        self.methods = {"mean": History.mean}

    @staticmethod
    def mean():
        raise AssertionError("called")


def test_objects_of_training_libraries_are_never_built(monkeypatch):
    """Their classes exist where the file is written, and not where it is read."""
    for module, kind in (("lightning_fabric", Attributes), ("mmengine", History)):
        monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**{kind.__name__: kind}))
        monkeypatch.setattr(kind, "__module__", module)
    monkeypatch.setattr(History.mean, "__module__", "mmengine")
    beside = {
        "hyper_parameters": Attributes(lr=0.1),
        "message_hub": OrderedDict(loss=History()),
        "callbacks": [deque([1, 2]), defaultdict(list, a=[1])],
        "args": argparse.Namespace(lr=0.1),
        "epoch": 7,
    }
    written = [pickle.dumps(beside, protocol) for protocol in (2, 4)]
    monkeypatch.undo()
    for data in written:
        tree = unpickle(io.BytesIO(data), lambda *_: np.zeros(0, "u1"))
        assert isinstance(tree["hyper_parameters"], Foreign)
        assert isinstance(tree["message_hub"]["loss"], Foreign)
        assert all(isinstance(value, Foreign) for value in tree["callbacks"])
        assert tree["args"] == {"lr": 0.1}
        assert tree["epoch"] == 7


def mmaction(state):
    """F: the same in mmaction2's words, with its fixed table."""
    words = {"patch_embed.proj.": "patch_embed.projection.", "mlp.fc1.": "mlp.layers.0.0.", "mlp.fc2.": "mlp.layers.1."}
    renamed = {"backbone.pos_embed": position_table("sincos", GRID, 24)[None].astype("float32")}
    for name, tensor in state.items():
        for ours, theirs in words.items():
            name = name.replace(ours, theirs)
        is_head = name.startswith("head.")
        renamed[f"cls_head.fc_cls.{name.removeprefix('head.')}" if is_head else f"backbone.{name}"] = tensor
    return renamed


def test_mmaction(tmp_path):
    path = tmp_path / "mmaction.pth"
    write_torch(path, {"meta": {"epoch": 3}, "state_dict": mmaction(released("classifier")), "message_hub": {}})
    model = build("classifier")
    report = load_checkpoint(path, model)
    assert report.format == "mmaction2"
    assert report.interpolated == report.missing == ()
    assert report.notes[-1] == "left aside: 2 entries that are no weights of the model (meta, message_hub)"
    arrays, _ = golden("classifier")
    np.testing.assert_allclose(outputs(model, arrays), arrays["logits"], atol=1e-5)
    other = mmaction(released("classifier"))
    other["backbone.pos_embed"] = other["backbone.pos_embed"] + 1
    kept = load_weights(read(other), model)
    assert kept.notes == ("encoder/positions/table is the file's own; it is kept, and not trained",)


VERSION_2 = {
    "img_size": 32, "patch_size": 8, "in_chans": 3, "num_classes": 0, "embed_dim": 24, "depth": 2, "num_heads": 3,
    "mlp_ratio": 4, "qkv_bias": True, "qk_scale": None, "layer_norm_eps": 1e-6, "init_values": 0.0,
    "use_learnable_pos_emb": False, "tubelet_size": 2, "use_mean_pooling": True, "num_frames": 4, "cos_attn": False,
}  # fmt: skip


def version_2(folder, state, **change):
    folder.mkdir()
    save_file(prefixed("model.", state), folder / "model.safetensors", {"format": "pt"})
    config = {"model_type": "VideoMAEv2_Base", "model_config": VERSION_2 | change}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_version_2_with_its_head_and_without(tmp_path):
    arrays, _ = golden("classifier")
    state = released("classifier")
    model = build("classifier")
    report = load_checkpoint(version_2(tmp_path / "head", state, num_classes=5), model)
    assert (report.kind, report.missing, report.unexpected) == ("classifier", (), ())
    np.testing.assert_allclose(outputs(model, arrays), arrays["logits"], atol=1e-5)
    encoder = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
    folder = version_2(tmp_path / "encoder", encoder)
    weights = read_weights(folder)
    assert weights.kind == "encoder"
    assert (weights.told["num_heads"], weights.told["num_frames"], weights.layer_norm_epsilon) == (3, 4, 1e-6)
    assert load_weights(weights, model).missing == ("head/bias", "head/kernel")
    assert set(load_checkpoint(folder, build("pretrainer"), ("decoder",)).missing) >= {"encoder/norm/gamma"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cos_attn": True}, "cos_attn=True, and this project's models have cos_attn=False only"),
        ({"qk_scale": 0.5}, "qk_scale=0.5, and this project's models have qk_scale=None only"),
        ({"depth": 3}, "states depth=3, and its tensors are those of depth=2"),
        ({"mlp_ratio": -1}, "mlp_ratio holds -1; it may hold a number above 0"),
        ({"patch_size": [8, 16]}, r"patch_size=\[8, 16\], and this project's patches are squares"),
    ],
)
def test_what_version_2_says_is_checked(change, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        read_weights(version_2(tmp_path / "x", released("classifier"), **change))


@pytest.mark.parametrize("ending", ["pytorch_model.bin", "model.safetensors"])
def test_a_folder_of_several_files(ending, tmp_path):
    arrays, theirs = golden("classifier")
    write_hugging_face(tmp_path / "one", arrays, theirs)
    folder = tmp_path / "several"
    folder.mkdir()
    (folder / "config.json").write_text(str(arrays["config"]))
    names, places = list(theirs), {}
    for number, held in enumerate((names[::2], names[1::2])):
        tensors = {name: theirs[name] for name in held}
        path = folder / f"{number}-{ending}"
        if ending == "model.safetensors":
            save_file(tensors, path)
        else:
            write_torch(path, tensors)
        places |= dict.fromkeys(held, path.name)
    (folder / f"{ending}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert_same(read_weights(folder), read_weights(tmp_path / "one"))


def test_layer_scale_is_multiplied_into_the_layer_before_it():
    state, rng = released("pretrainer"), np.random.default_rng(0)
    scales = {f"encoder.blocks.{i}.gamma_{k}": rng.normal(size=24).astype("f4") for i in range(2) for k in (1, 2)}
    plain, scaled = read(state), read(state | scales)
    assert scaled.unknown == []
    x = rng.normal(size=(5, 96)).astype("f4")
    kernel, bias = (plain.arrays[f"encoder/block_1/mlp/fc2/{name}"] for name in ("kernel", "bias"))
    folded, folded_bias = (scaled.arrays[f"encoder/block_1/mlp/fc2/{name}"] for name in ("kernel", "bias"))
    by_hand = (x @ kernel + bias) * scales["encoder.blocks.1.gamma_2"]
    np.testing.assert_allclose(x @ folded + folded_bias, by_hand, atol=1e-5)
    changed = {name for name in plain.arrays if not np.array_equal(plain.arrays[name], scaled.arrays[name])}
    assert changed == {
        f"encoder/block_{i}/{layer}/{name}"
        for i in range(2) for layer in ("attention/projection", "mlp/fc2") for name in ("kernel", "bias")
    }  # fmt: skip
    assert read(state | {"encoder.blocks.0.gamma_1": np.ones(3, "f4")}).arrays.keys() - plain.arrays.keys() == {
        "encoder/block_0/attention/layer_scale"  # of another width: a model has no place for it
    }


def test_decoders_of_another_target_leave_the_encoder():
    """As of UMT, whose student predicts features of CLIP."""
    state = released("pretrainer")
    student = {name: tensor for name, tensor in state.items() if name.startswith("encoder.")}
    weights = read(student | {f"clip_decoder.{i}.head.weight": np.ones((4, 24), "f4") for i in range(2)})
    assert (weights.kind, weights.unknown) == ("encoder", [])
    assert weights.set_aside == ["clip_decoder.0.head.weight", "clip_decoder.1.head.weight"]
    # Also where it shares names with ours, as a mask token.
    weights = read(state | {"decoder_image.blocks.0.norm1.weight": np.ones(12, "f4")})
    assert weights.kind == "encoder"
    assert "mask_token" in weights.set_aside


ENCODER = {"patch_embed.proj.weight": np.ones((24, 3, 2, 8, 8), "f4")}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["module.predictor_embed.weight"], "is a V-JEPA (module.predictor_embed.weight), no VideoMAE: it has other"),
        (["backbone.blocks.0.attn.qkv.bias"], "no table of positions, no VideoMAE: such are encoders with rotary"),
        (["cls_token", "pos_embed"], "is an MAE of images (cls_token), no VideoMAE: it has a class token and pat"),
        (["cls_token", "pos_embed_spatial"], "is an MAE-ST (pos_embed_spatial)"),
        (["model.blocks.0.attn.scale"], "is an encoder with cosine attention (cos_attn)"),
        (["blocks.0.attn.q_norm.weight"], "is an InternVideo2"),
    ],
)
def test_models_that_are_no_videomae_are_refused_by_their_name(names, message):
    with pytest.raises(ConfigError) as refused:
        read(ENCODER | dict.fromkeys(names, np.ones((1, 1, 24), "f4")))
    assert message in str(refused.value)


def test_files_and_folders_that_are_no_videomae_are_refused_by_their_name(tmp_path):
    with pytest.raises(ConfigError, match=r"is a V-JEPA \(entries encoder and predictor\)"):
        state_dict({"encoder": ENCODER, "predictor": ENCODER, "opt": {}}, SOURCE)
    for model_type, title in (("vjepa2", "a V-JEPA"), ("vit_mae", "an MAE of images"), ("vivit", "a 'vivit'")):
        folder = version_2(tmp_path / model_type, released("classifier"))
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
        with pytest.raises(ConfigError, match=title):
            read_weights(folder)


def test_what_is_of_no_layout_is_told_with_the_closest_one():
    with pytest.raises(
        ConfigError, match=r"complete VideoMAE model; unexpected: conv1.weight; closest layout: PyTorch"
    ):
        read({"conv1.weight": np.ones((4, 3, 7, 7), "f4")}).sizes()
    with pytest.raises(ConfigError, match=r"closest layout: PyTorch, encoder \(1 of 2 names\)"):
        load_weights(read(ENCODER | {"layer4.weight": np.ones(3, "f4")}), build("classifier"))
