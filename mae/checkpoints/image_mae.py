"""An MAE of images (arXiv:2111.06377) as the encoder of a video model that starts from it.

The kernel of its patches is repeated over the frames of a tubelet and divided by their number, and its table of
positions is repeated over time (ViViT, arXiv:2103.15691, section 3.4); `fit` does both, as for any model of images. So
a clip of one still picture has in every frame the features that the picture has, but for the class token, which a model
of videos does not have.
"""

import math
import re
from pathlib import Path

import numpy as np

from mae.checkpoints.strangers import IMAGE_MAE
from mae.errors import ConfigError

# What only the pre-training of images has, and a head for classes of images.
_DROPPED = re.compile(r"(?:^|\.)(?:cls_token|mask_token|decoder\w*|(?:fc_norm|head|classifier)\.\w+)(?:$|\.)")
_TABLE = re.compile(r"(?:^|\.)(?:position_embeddings|pos_embed)$")
_TRANSFORMERS = "vit."  # before the names of transformers' ViTMAE, which are those of its VideoMAE otherwise
_KEY_BIAS = ".attention.attention.key.bias"


def inflate(state: dict[str, np.ndarray], source: Path) -> None:
    """Makes of the tensors of an image MAE those of an encoder of videos, whose names this project reads; in place.

    A bias of keys goes: it shifts all scores of a query alike and leaves the softmax as it is.

    Raises:
        ConfigError: no image MAE.
    """
    if not any(IMAGE_MAE.mark.search(name) for name in state):
        raise ConfigError(f"inflate=true is for an MAE of images, and {source} holds no class token: leave it out")
    for name in [name for name in state if _DROPPED.search(name) or name.endswith(_KEY_BIAS)]:
        del state[name]
    for name in list(state):
        array = state.pop(name)
        if _TABLE.search(name):
            array = _of_patches(array, source)
        if name.startswith(_TRANSFORMERS):
            name = "videomae." + name.removeprefix(_TRANSFORMERS)
        state[name] = array


def image_size(table: np.ndarray, kernel: np.ndarray) -> int:
    """Pixels along a side of the pictures, of the table of positions (n, d) and the kernel of patches (p, p, c, d)."""
    return math.isqrt(len(table)) * kernel.shape[0]


def _of_patches(table: np.ndarray, source: Path) -> np.ndarray:
    """The table (1, 1 + n, d) without its first row, the class token's."""
    if table.ndim != 3 or len(table) != 1 or math.isqrt(table.shape[1] - 1) ** 2 != table.shape[1] - 1:
        raise ConfigError(f"{source}: its table of positions is {table.shape}; expected that of a square picture")
    return table[:, 1:]
