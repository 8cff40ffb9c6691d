"""An MAE of images, made and run by hand in NumPy, as the encoder of a video model."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_transformers import SIZES

from mae.checkpoints.load import load_weights
from mae.checkpoints.read import read_weights
from mae.checkpoints.state_dict import from_state_dict
from mae.errors import ConfigError
from mae.models.video_encoder import VideoEncoder
from mae.presets import architecture

SOURCE = Path("file")
WIDTH, HEADS, PATCHES = 24, 3, 16  # of 32 × 32 pixels in patches of 8; two blocks


def image_mae():
    """By the names of its release."""
    rng = np.random.default_rng(1)

    def draw(*shape):
        return rng.normal(0, 0.3, shape).astype("f4")

    state = {
        "cls_token": draw(1, 1, WIDTH),
        "pos_embed": draw(1, 1 + PATCHES, WIDTH),
        "patch_embed.proj.weight": draw(WIDTH, 3, 8, 8),
        "patch_embed.proj.bias": draw(WIDTH),
        "norm.weight": draw(WIDTH),
        "norm.bias": draw(WIDTH),
        "mask_token": draw(1, 1, 8),
        "decoder_embed.weight": draw(8, WIDTH),
        "decoder_blocks.0.norm1.weight": draw(8),
        "decoder_pred.bias": draw(192),
    }
    widths = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for block in ("blocks.0", "blocks.1"):
        for norm in ("norm1", "norm2"):
            state |= {f"{block}.{norm}.weight": draw(WIDTH), f"{block}.{norm}.bias": draw(WIDTH)}
        for name, (out, into) in widths.items():
            state[f"{block}.{name}.weight"] = draw(out * WIDTH, into * WIDTH)
            state[f"{block}.{name}.bias"] = draw(out * WIDTH)
    return state


OUTSIDE = {
    "cls_token": "vit.embeddings.cls_token",
    "pos_embed": "vit.embeddings.position_embeddings",
    "patch_embed.proj": "vit.embeddings.patch_embeddings.projection",
    "norm": "vit.layernorm",
}
IN_BLOCK = {
    "norm1": "layernorm_before",
    "attn.proj": "attention.output.dense",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


def as_transformers(state):
    """By the names of its ViTMAE: queries, keys and values apart."""
    renamed = {}
    for name, tensor in state.items():
        owner, _, parameter = name.rpartition(".")
        if name.startswith("blocks."):
            _, number, role = owner.split(".", 2)
            layer = f"vit.encoder.layer.{number}"
            if role in IN_BLOCK:
                renamed[f"{layer}.{IN_BLOCK[role]}.{parameter}"] = tensor
            else:
                for part, rows in zip(("query", "key", "value"), np.split(tensor, 3), strict=True):
                    renamed[f"{layer}.attention.attention.{part}.{parameter}"] = rows
        elif name in OUTSIDE:
            renamed[OUTSIDE[name]] = tensor
        else:
            renamed[f"{OUTSIDE[owner]}.{parameter}" if owner in OUTSIDE else f"decoder.{name}"] = tensor
    return renamed


def features(state, image):
    """Of an image (32, 32, 3), without the class token: (16, 24)."""

    def dense(x, name):
        return x @ state[f"{name}.weight"].T.astype("f8") + state[f"{name}.bias"]

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    patches = image.reshape(4, 8, 4, 8, 3).transpose(0, 2, 4, 1, 3).reshape(PATCHES, -1)
    x = patches @ state["patch_embed.proj.weight"].reshape(WIDTH, -1).T + state["patch_embed.proj.bias"]
    x = x + state["pos_embed"][0, 1:]
    for block in ("blocks.0", "blocks.1"):
        qkv = dense(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").reshape(PATCHES, 3, HEADS, -1)
        q, k, v = qkv.transpose(1, 2, 0, 3)
        scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(WIDTH // HEADS))
        attended = (scores / scores.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(PATCHES, WIDTH)
        x = x + dense(attended, f"{block}.attn.proj")
        hidden = dense(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")
        x = x + dense(hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2))) / 2, f"{block}.mlp.fc2")
    return norm(x, "norm")


@pytest.mark.parametrize("positions", ["sincos", "learnable"])
@pytest.mark.parametrize("named", [dict, as_transformers])
def test_a_still_clip_has_the_features_of_the_image(named, positions):
    state = image_mae()
    with pytest.raises(ConfigError, match="is an MAE of images"):
        from_state_dict(named(state), SOURCE)
    weights = from_state_dict(named(state), SOURCE, inflate=True)
    weights.told["layer_norm_epsilon"] = 1e-6
    assert weights.kind == "encoder"
    model = VideoEncoder(architecture("vit_tiny", **SIZES | {"positions": positions}), name="video_encoder")
    model.build_whole()
    report = load_weights(weights, model)
    assert report.interpolated == ("encoder/positions/table (1, 4, 4) → (2, 4, 4)",)
    image = np.random.default_rng(2).normal(size=(32, 32, 3))
    still = np.broadcast_to(image, (1, 4, 32, 32, 3)).astype("f4")
    np.testing.assert_allclose(np.asarray(model(still))[0], np.tile(features(state, image), (2, 1)), atol=2e-5)


def test_a_folder_of_transformers_tells_its_sizes(tmp_path):
    save_file(as_transformers(image_mae()), tmp_path / "model.safetensors")
    config = {"model_type": "vit_mae", "image_size": 32, "patch_size": 8, "layer_norm_eps": 1e-12}
    config |= {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = read_weights(tmp_path, inflate=True)
    assert (weights.told["num_heads"], weights.told["image_size"], weights.layer_norm_epsilon) == (3, 32, 1e-12)
    assert "num_frames" not in weights.told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cls_token": None}, "inflate=true is for an MAE of images, and file holds no class token"),
        ({"pos_embed": np.ones((1, 16, 24), "f4")}, r"its table of positions is \(1, 16, 24\); expected that of a squ"),
    ],
)
def test_only_an_image_mae_is_inflated(change, message):
    state = {name: tensor for name, tensor in (image_mae() | change).items() if tensor is not None}
    with pytest.raises(ConfigError, match=message):
        from_state_dict(state, SOURCE, inflate=True)
