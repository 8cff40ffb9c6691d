"""Weights named and laid out as transformers' VideoMAE has them, as this project has them.

Linear in its input, so it serves gradients as well.
"""

import numpy as np
from einops import rearrange

_BLOCK = {
    "norm1/gamma": "layernorm_before.weight",
    "norm1/beta": "layernorm_before.bias",
    "attention/q_bias": "attention.attention.query.bias",
    "attention/v_bias": "attention.attention.value.bias",
    "attention/projection/kernel": "attention.output.dense.weight",
    "attention/projection/bias": "attention.output.dense.bias",
    "norm2/gamma": "layernorm_after.weight",
    "norm2/beta": "layernorm_after.bias",
    "mlp/fc1/kernel": "intermediate.dense.weight",
    "mlp/fc1/bias": "intermediate.dense.bias",
    "mlp/fc2/kernel": "output.dense.weight",
    "mlp/fc2/bias": "output.dense.bias",
}
_OUTSIDE_BLOCKS = {
    "encoder/patch_embed/bias": "videomae.embeddings.patch_embeddings.projection.bias",
    "encoder/norm/gamma": "videomae.layernorm.weight",
    "encoder/norm/beta": "videomae.layernorm.bias",
    "encoder_to_decoder/kernel": "encoder_to_decoder.weight",
    "decoder/mask_token": "mask_token",
    "decoder/norm/gamma": "decoder.norm.weight",
    "decoder/norm/beta": "decoder.norm.bias",
    "decoder/head/kernel": "decoder.head.weight",
    "decoder/head/bias": "decoder.head.bias",
    "fc_norm/gamma": "fc_norm.weight",
    "fc_norm/beta": "fc_norm.bias",
    "head/kernel": "classifier.weight",
    "head/bias": "classifier.bias",
}
_BLOCKS = {"encoder/block_{}": "videomae.encoder.layer.{}", "decoder/block_{}": "decoder.decoder_layers.{}"}


def from_hugging_face(theirs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`{our path without the model's name: array}`; every array of `theirs` is used."""
    theirs = dict(theirs)
    convolution = theirs.pop("videomae.embeddings.patch_embeddings.projection.weight")
    ours = {"encoder/patch_embed/kernel": rearrange(convolution, "d c pt ph pw -> (pt ph pw c) d")}
    names = {path: name for path, name in _OUTSIDE_BLOCKS.items() if name in theirs}
    for ours_pattern, theirs_pattern in _BLOCKS.items():
        i = 0
        while f"{(prefix := theirs_pattern.format(i))}.layernorm_before.weight" in theirs:
            inner = prefix + ".attention.attention."
            fused = np.concatenate([theirs.pop(f"{inner}{part}.weight") for part in ("query", "key", "value")])
            ours[f"{ours_pattern.format(i)}/attention/qkv/kernel"] = fused.T
            names |= {f"{ours_pattern.format(i)}/{path}": f"{prefix}.{name}" for path, name in _BLOCK.items()}
            i += 1
    for path, name in names.items():
        value = theirs.pop(name)
        ours[path] = value.T if path.endswith("kernel") else value
    assert not theirs, f"not used: {sorted(theirs)}"
    return ours
