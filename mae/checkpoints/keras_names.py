"""Names of the Keras 2 files: h5 (layout A) and SavedModel (layout B).

A name there is a path, except that q and v biases are variables without one (`q_bias_id17`): they belong to the
block of the tensor before them. Within a block the two norms, and the two dense layers of attention and MLP, differ
in a running number only, so they are told apart by their order.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from mae.checkpoints.names import PATCH_KERNEL

# Our name inside a block -> the end of theirs, in the order of the file. `*`: a running number, or none;
# `{block}`: the side and the number of the block.
IN_BLOCK = {
    "norm1/gamma": "layer_normalization*/gamma",
    "norm1/beta": "layer_normalization*/beta",
    "attention/qkv/kernel": "TFAttention{block}/dense*/kernel",
    "attention/projection/kernel": "TFAttention{block}/dense*/kernel",
    "attention/projection/bias": "TFAttention{block}/dense*/bias",
    "attention/q_bias": "q_bias_id*",
    "attention/v_bias": "v_bias_id*",
    "norm2/gamma": "layer_normalization*/gamma",
    "norm2/beta": "layer_normalization*/beta",
    "mlp/fc1/kernel": "tf_mlp*/dense*/kernel",
    "mlp/fc1/bias": "tf_mlp*/dense*/bias",
    "mlp/fc2/kernel": "tf_mlp*/dense*/kernel",
    "mlp/fc2/bias": "tf_mlp*/dense*/bias",
}
SIDES = {"Encoder": "encoder", "Decoder": "decoder", "": "encoder"}
_PATCH_EMBED = "patch_embed_encoder/patch_embed_proj"
OUTSIDE = {
    PATCH_KERNEL: (f"{_PATCH_EMBED}/kernel", "patch_embed/kernel", "patch_embed/*/kernel"),
    "encoder/patch_embed/bias": (f"{_PATCH_EMBED}/bias", "patch_embed/bias", "patch_embed/*/bias"),
    "encoder/norm/gamma": ("norm_encoder/gamma", "norm/gamma"),
    "encoder/norm/beta": ("norm_encoder/beta", "norm/beta"),
    "encoder/positions/table": ("pos_embed_encoder",),
    "decoder/norm/gamma": ("norm_decoder/gamma",),
    "decoder/norm/beta": ("norm_decoder/beta",),
    "decoder/head/kernel": ("head_decoder/kernel",),
    "decoder/head/bias": ("head_decoder/bias",),
    "decoder/mask_token": ("mask_token_pretrained", "mask_token"),
    "decoder/positions/table": ("pos_embed_decoder",),
    "encoder_to_decoder/kernel": ("encoder_to_decoder/kernel",),
    "fc_norm/gamma": ("fc_norm/gamma",),
    "fc_norm/beta": ("fc_norm/beta",),
    "head/kernel": ("head/kernel",),
    "head/bias": ("head/bias",),
}
_BLOCK = re.compile(r"(?:^|/)TFBlock(Encoder|Decoder|)(\d+)(?=/|$)")
_PATHLESS = re.compile(r"(?:.*/)?[qv]_bias_id[^/]*")


def our_names(names: Iterable[str]) -> list[str | None]:
    """Our name of each tensor of a file, in its order; None: no place for it.

    Args:
        names: weight names without `:0`, in the order of the file.
    """
    taken: set[str] = set()
    result: list[str | None] = []
    block: tuple[str, str] | None = None
    for name in names:
        if matches := _BLOCK.findall(name):
            block = matches[-1]
        elif not _PATHLESS.fullmatch(name):
            block = None
        ours = _outside(name, taken) if block is None else _in_block(name, block, taken)
        if ours:
            taken.add(ours)
        result.append(ours)
    return result


def their_name(ours: str) -> str | None:
    """What such a file calls a weight within a block, as the pattern of `IN_BLOCK`; None for weights outside blocks."""
    return IN_BLOCK.get(ours.split("/", 2)[-1])


def _in_block(name: str, block: tuple[str, str], taken: set[str]) -> str | None:
    """The first place of the block that such a name may have and that is free."""
    side, number = block
    for role, pattern in IN_BLOCK.items():
        path = f"{SIDES[side]}/block_{int(number) - 1}/{role}"
        if path not in taken and _matches(name, pattern.replace("{block}", "*")):
            return path
    return None


def _outside(name: str, taken: set[str]) -> str | None:
    for path, patterns in OUTSIDE.items():
        if path not in taken and any(_matches(name, pattern) for pattern in patterns):
            return path
    return None


def _matches(name: str, pattern: str) -> bool:
    """Whether the end of a path has the pattern, `*` standing for anything without a slash."""
    return re.fullmatch("(?:.*/)?" + re.escape(pattern).replace(r"\*", "[^/]*"), name) is not None


def flattened(groups: Mapping[str, Sequence[tuple[str, np.ndarray]]]) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of an h5 file in order, each named with its group where its own name does not say it."""
    for group, tensors in groups.items():
        for name, array in tensors:
            name = name.removesuffix(":0")
            yield (name if group in name.split("/") else f"{group}/{name}"), array


def as_groups(arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, list[tuple[str, np.ndarray]]]:
    """The groups of an h5 file: the inverse of `flattened` and `our_names`.

    `arrays` must hold the weights in the order of the file, see `in_file_order`.
    """
    groups: dict[str, list[tuple[str, np.ndarray]]] = {name: [] for name in _group_names(arrays, kind)}
    for number, (path, array) in enumerate(arrays.items()):
        group, name = _their_name(path, kind, number)
        groups[group].append((f"{name}:0", array))
    return groups


def in_file_order(paths: Iterable[str]) -> list[str]:
    """Our names as the files have them: patches, blocks with q and v biases after the projection, norm, head."""
    outside = list(OUTSIDE)
    roles = list(IN_BLOCK)

    def key(path: str) -> tuple[int, int, int, int]:
        side = 1 if path.startswith("decoder/") else 0 if path.startswith("encoder/") else 2
        if match := re.fullmatch(r"\w+/block_(\d+)/(.+)", path):
            return side, 1, int(match[1]), roles.index(match[2])
        first = 0 if "patch_embed" in path else 2
        return side, first, outside.index(path), 0

    return sorted(paths, key=key)


def _group_names(paths: Iterable[str], kind: str) -> list[str]:
    if kind == "pretrainer":
        sides = [f"TFPretrainVisionTransformer{side}" for side in ("Encoder", "Decoder")]
        return [*sides, "encoder_to_decoder", "top_level_model_weights"]
    paths = list(paths)
    depth = sum(path.endswith("/norm1/gamma") for path in paths)
    blocks = [f"TFBlock{i + 1}" for i in range(depth)]
    norm = ["norm_identity", "fc_norm"] if "fc_norm/gamma" in paths else ["norm_encoder"]
    # Layers without weights have empty groups in the released files as well.
    return ["patch_embed", "pos_drop", *blocks, *norm, "fc_dropout", "head"]


def _their_name(path: str, kind: str, number: int) -> tuple[str, str]:
    """Group and name of a tensor; `number` stands where Keras would have counted on."""
    side = path.split("/")[0].capitalize() if kind == "pretrainer" else ""
    top = f"TFPretrainVisionTransformer{side}"
    if match := re.fullmatch(r"\w+/block_(\d+)/(.+)", path):
        block = f"{side}{int(match[1]) + 1}"
        running = "_1" if match[2].startswith(("norm2", "attention/projection", "mlp/fc2")) else ""
        name = IN_BLOCK[match[2]].replace("{block}", block).replace("id*", f"id{number}")
        name = name.replace("tf_mlp*", "tf_mlp").replace("*", running)
        if "_bias_id" not in name:
            name = f"TFBlock{block}/{name}"
            name = f"{top}/{name}" if kind == "pretrainer" else name
        return (top if kind == "pretrainer" else f"TFBlock{block}"), name
    name = OUTSIDE[path][0]
    if kind != "pretrainer":
        name = name.replace("patch_embed_encoder/", "patch_embed/")
        return ("patch_embed" if path.startswith(("encoder/patch", "encoder/pos")) else name.split("/")[0]), name
    if path == "decoder/mask_token":
        return "top_level_model_weights", name
    return ("encoder_to_decoder", name) if path.startswith("encoder_to") else (top, f"{top}/{name}")
