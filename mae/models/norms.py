"""The epsilon of a model's LayerNorms, which belongs to its weights: released checkpoints differ in it."""

from dataclasses import replace
from typing import Any

from mae.presets import Architecture


def set_norm_epsilons(model: Any, like: Architecture) -> None:
    """Gives every LayerNorm of a `Pretrainer` or `Classifier` the epsilon of `like`, and its architecture too.

    Epsilons are Python numbers: call this before the model is traced into a compiled function.
    """
    decoder = getattr(model, "decoder", None)
    norms = [norm for block in model.encoder.blocks for norm in (block.norm1, block.norm2)]
    if decoder is not None:
        norms += [norm for block in decoder.blocks for norm in (block.norm1, block.norm2)]
    for norm in (*norms, model.encoder.norm):
        if norm is not None:
            norm.epsilon = like.layer_norm_epsilon
    last = getattr(model, "fc_norm", None) if decoder is None else decoder.norm
    if last is not None:
        last.epsilon = like.final_norm_epsilon
    for owner in (model, model.encoder, decoder):
        if owner is not None:
            owner.architecture = replace(
                owner.architecture,
                layer_norm_epsilon=like.layer_norm_epsilon,
                head_norm_epsilon=like.head_norm_epsilon,
            )
