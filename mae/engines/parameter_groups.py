"""Which weights decay, and how fast each layer learns."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

from mae.errors import ConfigError


@dataclass(frozen=True)
class ParameterGroup:
    """The weights that share a learning rate and either decay or do not."""

    layer: str
    learning_rate_scale: float
    decays: bool
    variables: tuple[int, ...]  # indices into `model.trainable_variables`
    size: int  # values in all of them


def decays(variable: "keras.Variable") -> bool:
    """True for matrices: not for 1-D tensors and biases, the mask token, learnable positions."""
    return len(variable.shape) > 1 and not variable.path.endswith(("mask_token", "positions/table"))


def learning_rate_scales(model: "keras.Model", layer_decay: float | None) -> list[tuple[str, float]]:
    """Layer name and learning-rate scale of each trainable variable, in order.

    With rate r and an encoder of depth L: r^(L+1) for the embedding and its positions, r^(L+1-i) for block i
    (from 1), 1 for everything after the blocks (BEiT, arXiv:2106.08254). Layers are told by the model's structure,
    never by the variables' names.

    Raises:
        ConfigError: a layer decay for a model that has no encoder to count the layers of.
    """
    if layer_decay is None:
        return [("all", 1.0)] * len(model.trainable_variables)
    encoder = getattr(model, "encoder", None)
    if encoder is None:
        raise ConfigError(f"layer_decay={layer_decay} needs a model with an encoder, got {type(model).__name__}")
    layers = [("embedding", [encoder.patch_embed, encoder.positions])]
    layers += [(f"block {i}", [block]) for i, block in enumerate(encoder.blocks, start=1)]
    rest = ("after the blocks", 1.0)
    scale_of = {}
    for index, (name, members) in enumerate(layers):
        for member in members:
            for variable in member.trainable_variables:
                scale_of[id(variable)] = (name, layer_decay ** (len(layers) - index))
    return [scale_of.get(id(variable), rest) for variable in model.trainable_variables]


def parameter_groups(model: "keras.Model", layer_decay: float | None = None) -> list[ParameterGroup]:
    """Every trainable variable in exactly one group, in the order of the model's layers."""
    members: dict[tuple[str, float, bool], list[int]] = {}
    for i, (layer, scale) in enumerate(learning_rate_scales(model, layer_decay)):
        members.setdefault((layer, scale, decays(model.trainable_variables[i])), []).append(i)
    sizes = [math.prod(variable.shape) for variable in model.trainable_variables]
    return [
        ParameterGroup(layer, scale, decaying, tuple(indices), sum(sizes[i] for i in indices))
        for (layer, scale, decaying), indices in members.items()
    ]
