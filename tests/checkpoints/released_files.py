"""The golden models written in every released layout, without the package's own name tables and writers."""

import json
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file

from mae.checkpoints.containers.torch_zip import write_torch

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = {"pretrainer": "pretraining.npz", "classifier": "classification.npz"}
BLOCK = (
    "norm1.weight", "norm1.bias", "attn.qkv.weight", "attn.proj.weight", "attn.proj.bias", "attn.q_bias", "attn.v_bias",
    "norm2.weight", "norm2.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias",
)  # fmt: skip
THEIRS = {
    "norm1": "layernorm_before",
    "attn.proj": "attention.output.dense",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
SIDES = {"encoder": "videomae.encoder.layer", "decoder": "decoder.decoder_layers"}


def golden(kind):
    """All arrays of a golden file, and its weights as transformers names them."""
    with np.load(GOLDEN / KINDS[kind]) as archive:
        arrays = dict(archive)
    prefix = "weights/"
    return arrays, {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}


def pytorch_state(theirs):
    """D: names and layouts of the original release, `encoder.` in front of a classifier's encoder too."""
    patch = "videomae.embeddings.patch_embeddings.projection"
    state = {f"encoder.patch_embed.proj.{p}": theirs[f"{patch}.{p}"] for p in ("weight", "bias")}
    for side, layers in SIDES.items():
        i = 0
        while f"{layers}.{i}.layernorm_before.weight" in theirs:
            layer, block = f"{layers}.{i}", f"{side}.blocks.{i}"
            inner = f"{layer}.attention.attention"
            for ours, name in THEIRS.items():
                state |= {f"{block}.{ours}.{p}": theirs[f"{layer}.{name}.{p}"] for p in ("weight", "bias")}
            state[f"{block}.attn.q_bias"] = theirs[f"{inner}.query.bias"]
            state[f"{block}.attn.v_bias"] = theirs[f"{inner}.value.bias"]
            rows = [theirs[f"{inner}.{part}.weight"] for part in ("query", "key", "value")]
            state[f"{block}.attn.qkv.weight"] = np.concatenate(rows)
            i += 1
    renamed = {"videomae.layernorm": "encoder.norm", "classifier": "head"}
    for name in ("videomae.layernorm", "decoder.norm", "decoder.head", "fc_norm", "classifier"):
        for p in ("weight", "bias"):
            if f"{name}.{p}" in theirs:
                state[f"{renamed.get(name, name)}.{p}"] = theirs[f"{name}.{p}"]
    state |= {name: theirs[name] for name in ("mask_token", "encoder_to_decoder.weight") if name in theirs}
    return state


def without_encoder(state):
    """As fine-tuned files of the release have it."""
    return {name.removeprefix("encoder."): tensor for name, tensor in state.items()}


def keras_layout(name, tensor):
    """A tensor of D as Keras has it."""
    if tensor.ndim == 5:
        return np.ascontiguousarray(tensor.transpose(2, 3, 4, 1, 0))
    return np.ascontiguousarray(tensor.T) if tensor.ndim == 2 else tensor


def keras_parameter(name):
    owner, parameter = name.rsplit(".", 1)
    words = ("gamma", "beta") if owner.endswith("norm") or owner[:-1].endswith("norm") else ("kernel", "bias")
    return owner, words[parameter == "bias"]


def keras_names(state, kind):
    """A: (group, weight name without :0, array) in the order of the file; running numbers are arbitrary."""
    pretrains = kind == "pretrainer"
    rows = []
    for side in ("encoder", "decoder") if pretrains else ("encoder",):
        word = side.capitalize() if pretrains else ""
        top = f"TFPretrainVisionTransformer{word}"
        outer = f"{top}/" if pretrains else "TFVisionTransformer/"

        def add(group, name, source, top=top):
            rows.append((top if pretrains else group, name, keras_layout(source, state[source])))

        if side == "encoder":
            inside = "patch_embed_encoder" if pretrains else "patch_embed"
            for source, word_ in (("weight", "kernel"), ("bias", "bias")):
                add("patch_embed", f"{outer}{inside}/patch_embed_proj/{word_}", f"encoder.patch_embed.proj.{source}")
        i = 0
        while f"{side}.blocks.{i}.norm1.weight" in state:
            for role in BLOCK:
                number = 97 * i + 7 * BLOCK.index(role) + 13
                name = keras_block_name(role, f"{word}{i + 1}", number, outer)
                add(f"TFBlock{i + 1}", name, f"{side}.blocks.{i}.{role}")
            i += 1
        if pretrains:
            for part in ("norm", "head"):
                for source in ("weight", "bias"):
                    if f"{side}.{part}.{source}" in state:
                        parameter = keras_parameter(f"{side}.{part}.{source}")[1]
                        add("", f"{top}/{part}_{side}/{parameter}", f"{side}.{part}.{source}")
    if pretrains:
        rows.append(("encoder_to_decoder", "encoder_to_decoder/kernel", state["encoder_to_decoder.weight"].T))
        rows.append(("top_level_model_weights", "mask_token_pretrained", state["mask_token"]))
    else:
        rows += [("pos_drop", None, None), ("norm_identity", None, None)]
        for owner in ("fc_norm", "head"):
            for source in ("weight", "bias"):
                parameter = keras_parameter(f"{owner}.{source}")[1]
                rows.append((owner, f"{owner}/{parameter}", keras_layout(owner, state[f"{owner}.{source}"])))
    return rows


def keras_block_name(role, block, number, outer):
    if role in ("attn.q_bias", "attn.v_bias"):
        return f"{role[5]}_bias_id{number}"
    owner, parameter = keras_parameter(role)
    inner = {
        "norm1": f"layer_normalization_{number - number % 7}",
        "norm2": f"layer_normalization_{number - number % 7 + 1}",
        "attn.qkv": f"TFAttention{block}/dense_{number}",
        "attn.proj": f"TFAttention{block}/dense_{number - number % 7}",
        # The second number is the smaller one: an order by numbers would swap the two.
        "mlp.fc1": "tf_mlp_3/dense_900",
        "mlp.fc2": "tf_mlp_3/dense_31",
    }[owner]
    return f"{outer}TFBlock{block}/{inner}/{parameter}"


def write_h5(path, rows):
    groups = list(dict.fromkeys(group for group, _, _ in rows))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [g.encode() for g in groups if g != "top_level_model_weights"]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.12.0"
        for group in groups:
            inside = file.create_group(group)
            named = [(name, array) for owner, name, array in rows if owner == group and name]
            inside.attrs["weight_names"] = np.array([f"{name}:0".encode() for name, _ in named], dtype="S")
            for name, array in named:
                inside.create_dataset(f"{name}:0", data=array)


def write_saved_model(folder, rows):
    root = tf.train.Checkpoint()
    listed = [(name, array) for _, name, array in rows if name and name != "mask_token_pretrained"]
    root.variables = [tf.Variable(array, name=name) for name, array in listed]
    for _, name, array in rows:
        if name == "mask_token_pretrained":
            root.mask_token_pretrained = tf.Variable(array, name=name)
    tf.saved_model.save(root, str(folder))


def write_tf_checkpoint(prefix, state):
    root = tf.train.Checkpoint()
    for number, (name, tensor) in enumerate(state.items()):
        if name == "mask_token":
            path, leaf = [], "mask_token_pretrained"
        elif name.endswith("_bias"):
            *path, leaf = f"{name}_id{number}".split(".")
        else:
            owner, leaf = keras_parameter(name)
            path = owner.split(".")
        setattr(_node(root, path), leaf, tf.Variable(keras_layout(name, tensor)))
    root.write(str(prefix))


def _node(node, path):
    """The object at a path of attributes and list indices, made where it is missing."""
    for part in path:
        if part.isdigit():
            while len(node) <= int(part):
                node.append(tf.train.Checkpoint())
            node = node[int(part)]
            continue
        if not hasattr(node, part):
            setattr(node, part, [] if part == "blocks" else tf.train.Checkpoint())
        node = getattr(node, part)
    return node


def write_hugging_face(folder, arrays, theirs, generation=5):
    renamed = {}
    for name, tensor in theirs.items():
        if generation == 4:
            name = name.replace("query.bias", "q_bias").replace("value.bias", "v_bias")
        renamed[name] = tensor
    folder.mkdir()
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(str(arrays["config"]))


def write(format, kind, folder):
    """The golden model of a kind in a format; returns the path to load."""
    arrays, theirs = golden(kind)
    state = pytorch_state(theirs)
    files = {"A": "model.h5", "B": "saved", "C": "weights", "D": "model.pth", "E4": "hf4", "E5": "hf5", "Ebin": "bin"}
    path = Path(folder) / files[format]
    if format == "A":
        write_h5(path, keras_names(state, kind))
    elif format == "B":
        write_saved_model(path, keras_names(state, kind))
    elif format == "C":
        write_tf_checkpoint(path, state if kind == "pretrainer" else without_encoder(state))
    elif format == "D":
        wrapped = {"model": state} if kind == "pretrainer" else {"module": without_encoder(state)}
        write_torch(path, {**wrapped, "epoch": 799, "optimizer": {"state": {0: {"exp_avg": np.ones(3)}}}})
    elif format == "Ebin":
        path.mkdir()
        write_torch(path / "pytorch_model.bin", theirs)
        (path / "config.json").write_text(json.dumps(json.loads(str(arrays["config"]))))
    else:
        write_hugging_face(path, arrays, theirs, generation=int(format[1]))
    return path
