"""A model small enough for any test, and inputs for it."""

import numpy as np

from mae.imagenet import IMAGENET_MEAN, IMAGENET_STD
from mae.masking import tube_mask
from mae.models.pretrainer import build_pretrainer

SIZES = {
    "image_size": 16,
    "num_frames": 4,
    "patch_size": 4,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 2,
    "decoder_embed_dim": 12,
    "decoder_depth": 1,
    "decoder_num_heads": 2,
}
GRID = (2, 4, 4)


def tiny_pretrainer(**overrides):
    """Random weights that are far from their initial zeros and ones, the same in every call."""
    model = build_pretrainer("vit_tiny", **{**SIZES, **overrides})
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(np.random.default_rng(i).normal(0.1, 0.3, variable.shape))
    return model


def pixels(batch=2, seed=0, channels=3, size=16):
    return np.random.default_rng(seed).random((batch, 4, size, size, channels)).astype("float32")


def videos(batch=2, seed=0):
    return ((pixels(batch, seed) - IMAGENET_MEAN) / IMAGENET_STD).astype("float32")


def masks(batch=2, seed=0, ratio=0.75):
    return tube_mask(GRID, ratio, batch, seed)
