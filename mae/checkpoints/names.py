"""What each format calls our weights: one table a format, read in both directions.

Our names are variable paths without the model's name, `encoder/block_0/attention/qkv/kernel`. Tensors are placed by
container, block number and role; running numbers in automatic names (`dense_64`, `q_bias_id17`) are never looked at.
The names are those of the published files; a table's first name for a weight is the one that is written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

PATCH_KERNEL, PATCH_BIAS = "encoder/patch_embed/kernel", "encoder/patch_embed/bias"
PREDICTION = ("decoder/head/kernel", "decoder/head/bias")  # of patches
TABLES = ("encoder/positions/table", "decoder/positions/table")
DECODER = ("decoder/", "encoder_to_decoder/")  # beginnings of the names of what a pre-training model has besides
HEAD = ("head/",)  # and of what a classifier has


@dataclass(frozen=True)
class NameTable:
    """The names of a format that calls blocks by number.

    A format that keeps queries, keys and values apart names `attention/{q,k,v}/kernel` instead of
    `attention/qkv/kernel`.
    """

    title: str
    separator: str  # between the prefix of a block and the role of a weight in it
    blocks: Mapping[str, str]  # our prefix of block {} -> theirs
    in_block: Mapping[str, tuple[str, ...]]  # our name inside a block -> theirs
    outside: Mapping[str, tuple[str, ...]]  # our whole name -> theirs

    @cached_property
    def _in_block_inverse(self) -> dict[str, str]:
        return {name: role for role, names in self.in_block.items() for name in names}

    @cached_property
    def _outside_inverse(self) -> dict[str, str]:
        return {name: path for path, names in self.outside.items() for name in names}

    def ours(self, theirs: str) -> str | None:
        """Our name of their weight; None: the table does not know it."""
        for our_prefix, their_prefix in self.blocks.items():
            prefix = re.escape(their_prefix).replace(r"\{\}", r"(\d+)")
            if match := re.fullmatch(f"{prefix}{re.escape(self.separator)}(.+)", theirs):
                role = self._in_block_inverse.get(match[2])
                return f"{our_prefix.format(int(match[1]))}/{role}" if role else None
        return self._outside_inverse.get(theirs)

    def theirs(self, ours: str) -> str | None:
        """Their name of our weight; None: the format has no place for it."""
        for our_prefix, their_prefix in self.blocks.items():
            if match := re.fullmatch(our_prefix.replace("{}", r"(\d+)") + "/(.+)", ours):
                names = self.in_block.get(match[2])
                return f"{their_prefix.format(match[1])}{self.separator}{names[0]}" if names else None
        return self.outside[ours][0] if ours in self.outside else None


def _with_parameters(names: Mapping[str, str], weight: str, bias: str) -> dict[str, tuple[str, ...]]:
    """`{"norm1/gamma": …, "norm1/beta": …}` from `{"norm1": …}`; `{}/kernel` and `{}/bias` for dense layers."""
    table: dict[str, tuple[str, ...]] = {}
    for ours, theirs in names.items():
        first, second = ("gamma", "beta") if "norm" in ours else ("kernel", "bias")
        table[f"{ours}/{first}"] = (theirs + weight,)
        table[f"{ours}/{second}"] = (theirs + bias,)
    return table


_RELEASED_BLOCK = {
    "norm1": "norm1",
    "attention/projection": "attn{}proj",
    "norm2": "norm2",
    "mlp/fc1": "mlp{}fc1",
    "mlp/fc2": "mlp{}fc2",
}
_RELEASED_OUTSIDE = {
    "encoder/patch_embed": "encoder{}patch_embed{}proj",
    "encoder/norm": "encoder{}norm",
    "decoder/norm": "decoder{}norm",
    "decoder/head": "decoder{}head",
    "fc_norm": "fc_norm",
    "head": "head",
}


def _dotted(names: Mapping[str, str]) -> dict[str, str]:
    return {ours: theirs.replace("{}", ".") for ours, theirs in names.items()}


# D. The original release. Encoders without the prefix `encoder.` are given it before the table is asked.
PYTORCH = NameTable(
    title="PyTorch",
    separator=".",
    blocks={"encoder/block_{}": "encoder.blocks.{}", "decoder/block_{}": "decoder.blocks.{}"},
    in_block={
        **_with_parameters(_dotted(_RELEASED_BLOCK), ".weight", ".bias"),
        "attention/qkv/kernel": ("attn.qkv.weight",),
        "attention/q_bias": ("attn.q_bias",),
        "attention/v_bias": ("attn.v_bias",),
        # Of relatives; reading makes of these what the model has: `mae.checkpoints.layouts`.
        "attention/qkv/bias": ("attn.qkv.bias",),
        "attention/layer_scale": ("gamma_1",),
        "mlp/layer_scale": ("gamma_2",),
    },
    outside={
        **_with_parameters(_dotted(_RELEASED_OUTSIDE), ".weight", ".bias"),
        "encoder_to_decoder/kernel": ("encoder_to_decoder.weight",),
        "decoder/mask_token": ("mask_token",),
        "encoder/positions/table": ("encoder.pos_embed",),
        "decoder/positions/table": ("decoder.pos_embed",),
    },
)


def _slashed(table: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The names of D as object paths: Keras' words for the parameters, of norms and of dense layers."""
    words = {"weight": {True: "gamma", False: "kernel"}, "bias": {True: "beta", False: "bias"}}

    def slashed(name: str) -> str:
        *path, last = name.split(".")
        is_norm = bool(path) and "norm" in path[-1]
        return "/".join([*path, words[last][is_norm] if last in words else last])

    return {ours: tuple(slashed(name) for name in names) for ours, names in table.items()}


# C. The object paths of the Keras 2 models are the module paths of D.
TENSORFLOW = NameTable(
    title="TensorFlow checkpoint",
    separator="/",
    blocks={"encoder/block_{}": "encoder/blocks/{}", "decoder/block_{}": "decoder/blocks/{}"},
    in_block=_slashed(PYTORCH.in_block),
    outside={**_slashed(PYTORCH.outside), "decoder/mask_token": ("mask_token_pretrained", "mask_token")},
)

_INNER = "attention.attention."
# E. q_bias and v_bias are what transformers 4 and 5 write; query.bias and value.bias what 5 has in memory.
HUGGING_FACE = NameTable(
    title="Hugging Face",
    separator=".",
    blocks={"encoder/block_{}": "videomae.encoder.layer.{}", "decoder/block_{}": "decoder.decoder_layers.{}"},
    in_block={
        **_with_parameters(
            {
                "norm1": "layernorm_before",
                "attention/projection": "attention.output.dense",
                "norm2": "layernorm_after",
                "mlp/fc1": "intermediate.dense",
                "mlp/fc2": "output.dense",
            },
            ".weight",
            ".bias",
        ),
        "attention/q/kernel": (f"{_INNER}query.weight",),
        "attention/k/kernel": (f"{_INNER}key.weight",),
        "attention/v/kernel": (f"{_INNER}value.weight",),
        "attention/q_bias": (f"{_INNER}q_bias", f"{_INNER}query.bias"),
        "attention/v_bias": (f"{_INNER}v_bias", f"{_INNER}value.bias"),
    },
    outside={
        **_with_parameters(
            {
                "encoder/patch_embed": "videomae.embeddings.patch_embeddings.projection",
                "encoder/norm": "videomae.layernorm",
                "decoder/norm": "decoder.norm",
                "decoder/head": "decoder.head",
                "fc_norm": "fc_norm",
                "head": "classifier",
            },
            ".weight",
            ".bias",
        ),
        "encoder_to_decoder/kernel": ("encoder_to_decoder.weight",),
        "decoder/mask_token": ("mask_token",),
        "encoder/positions/table": ("videomae.embeddings.position_embeddings",),  # of its image MAE
    },
)

# F. The encoder of D in mmaction2's words; there `backbone.` stands before it, which goes ahead of the table.
MMACTION = NameTable(
    title="mmaction2",
    separator=".",
    blocks={"encoder/block_{}": "encoder.blocks.{}"},
    in_block={
        **_with_parameters(
            {
                "norm1": "norm1",
                "attention/projection": "attn.proj",
                "norm2": "norm2",
                "mlp/fc1": "mlp.layers.0.0",
                "mlp/fc2": "mlp.layers.1",
            },
            ".weight",
            ".bias",
        ),
        "attention/qkv/kernel": ("attn.qkv.weight",),
        "attention/q_bias": ("attn.q_bias",),
        "attention/v_bias": ("attn.v_bias",),
    },
    outside={
        **_with_parameters(
            {
                "encoder/patch_embed": "encoder.patch_embed.projection",
                "encoder/norm": "encoder.norm",
                "fc_norm": "fc_norm",
                "head": "cls_head.fc_cls",
            },
            ".weight",
            ".bias",
        ),
        "encoder/positions/table": ("encoder.pos_embed",),
    },
)
