"""Weights named and laid out as transformers' VideoMAE has them, as this project's variables have them."""

from pathlib import Path

import numpy as np

from mae.checkpoints.names import HUGGING_FACE, PATCH_KERNEL
from mae.checkpoints.state_dict import from_state_dict


def from_hugging_face(theirs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`{our path without the model's name: array}`; every array of `theirs` is used.

    Linear in its input, so it serves gradients as well.
    """
    weights = from_state_dict(dict(theirs), Path("golden"))
    assert weights.format == HUGGING_FACE.title
    assert not weights.unknown
    kernel = weights.arrays[PATCH_KERNEL]
    return weights.arrays | {PATCH_KERNEL: kernel.reshape(-1, kernel.shape[-1])}
