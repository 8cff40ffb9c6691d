from contextlib import contextmanager

import numpy as np
import pytest
from keras.src.backend.common.global_state import set_global_attribute
from keras.src.backend.common.stateless_scope import StatelessScope

from mae.errors import ConfigError
from mae.models.classifier import build_classifier
from mae.models.pretrainer import build_pretrainer
from mae.presets import PRESETS, Architecture, architecture

# width, depth, heads; decoder width, depth, heads; parameters in millions of the pre-trainer and of a classifier
# with 400 classes: published where the release states them (±0.5), else None.
TABLE = {
    "vit_micro": ((96, 4, 3), (64, 1, 2), None, None),
    "vit_tiny": ((128, 4, 4), (96, 2, 3), None, None),
    "vit_small": ((384, 12, 6), (192, 4, 3), 24, 22),
    "vit_base": ((768, 12, 12), (384, 4, 6), 94, 87),
    "vit_large": ((1024, 24, 16), (512, 12, 8), 343, 304),
    "vit_huge": ((1280, 32, 16), (640, 12, 8), None, 632),
    "vit_giant": ((1408, 40, 16), (512, 4, 8), None, 1012),  # 1011 without its 400-class head
}


def block_size(width, hidden):
    """Weights of a block by hand: qkv and its two biases, projection, MLP, two LayerNorms."""
    return (3 * width**2 + 2 * width) + (width**2 + width) + (2 * width * hidden + hidden + width) + 4 * width


@contextmanager
def no_memory():
    """Variables get their shapes alone: the giant's would take 8 GB."""
    with StatelessScope(initialize_variables=False):
        yield
    # At the end of any later scope, Keras gives memory to all that wait for it.
    set_global_attribute("uninitialized_variables", [])


def million(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables) / 1e6


@pytest.mark.parametrize("preset", PRESETS)
def test_sizes_and_parameter_counts(preset):
    encoder, decoder, pretrainer_size, classifier_size = TABLE[preset]
    a = PRESETS[preset]
    assert (a.embed_dim, a.depth, a.num_heads) == encoder
    assert (a.decoder_embed_dim, a.decoder_depth, a.decoder_num_heads) == decoder
    with no_memory():
        pretrainer, classifier = build_pretrainer(preset), build_classifier(preset, num_classes=400)
    if pretrainer_size:
        assert million(pretrainer) == pytest.approx(pretrainer_size, abs=0.5)
    if classifier_size:
        assert million(classifier) == pytest.approx(classifier_size, abs=0.5)
    hidden = round(a.embed_dim * a.mlp_ratio)
    by_hand = a.depth * block_size(a.embed_dim, hidden) + (a.patch_dim + 1) * a.embed_dim
    by_hand += 2 * a.embed_dim + 400 * (a.embed_dim + 1)  # LayerNorm and head
    assert million(classifier) == pytest.approx(by_hand / 1e6, abs=1e-9)


def test_grids():
    assert PRESETS["vit_base"].grid == (8, 14, 14)
    assert PRESETS["vit_base"].num_tokens == 1568
    assert PRESETS["vit_base"].patch_dim == 1536
    assert PRESETS["vit_giant"].grid == (8, 16, 16)
    assert architecture("vit_base", image_size=112, num_frames=32).grid == (16, 7, 7)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"image_size": 225}, "image_size=225 is not divisible by patch_size=16"),
        ({"num_frames": 15}, "num_frames=15 is not divisible by tubelet_size=2"),
        ({"embed_dim": 100}, "embed_dim=100 is not divisible by num_heads=12"),
        ({"drop_path_rate": 1.0}, "drop_path_rate=1.0"),
        ({"drop_path_rate": float("nan")}, "drop_path_rate=nan"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon=nan must be a number above 0, at most 1"),
        ({"head_norm_epsilon": float("nan")}, "head_norm_epsilon=nan"),
        ({"mlp_ratio": float("inf")}, "mlp_ratio=inf must be a number above 0, at most 64"),
        ({"embed_dim": "x"}, "embed_dim='x' must be a whole number from 1 to 65536"),
        ({"embed_dim": 768.0}, "embed_dim=768.0 must be a whole number"),
        ({"depth": 0}, "depth=0 must be a whole number from 1 to 1024"),
        ({"depth": True}, "depth=True"),
        ({"num_frames": 2 * 10**9}, "num_frames=2000000000 must be a whole number from 1 to 65536"),
        ({"image_size": 65536}, "there may be 131072"),
        ({"image_size": []}, r"image_size=\[\] must be"),
        ({"lean": "no"}, "lean='no' must be true or false"),
        ({"positions": []}, "positions"),
        ({"positions": "sinus"}, "did you mean 'sincos'"),
        ({"imagesize": 224}, "did you mean 'image_size'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_both_numbers(overrides, message):
    with pytest.raises(ConfigError, match=message):
        architecture("vit_base", **overrides)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'vit_base'"):
        build_pretrainer("vit_bas")


def test_defaults_of_an_architecture_are_vit_base():
    assert Architecture() == PRESETS["vit_base"]
