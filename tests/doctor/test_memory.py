"""The formula beside what was measured: peaks of `benchmarks/train_step.py` on a CPU, from docs/benchmarks.md."""

import math
from dataclasses import replace

import pytest
from tiny import SIZES

from mae.doctor.memory import parameters, step_memory
from mae.masking import num_masked, num_predicted
from mae.models.pretrainer import build_pretrainer
from mae.presets import PRESETS, architecture


def total(preset, clips, decoder_mask_ratio=0.0, **words):
    a = replace(PRESETS[preset], remat=words.pop("remat", "none"))
    visible = a.num_tokens - num_masked("tube", a.grid, 0.9)
    predicted, _ = num_predicted("tube", a.grid, 0.9, decoder_mask_ratio)
    return step_memory(a, visible, predicted, clips, **words).total / 1e9


@pytest.mark.parametrize(
    ("measured", "made"),
    [
        (1.95, lambda: total("vit_small", 8)),
        (2.56, lambda: total("vit_base", 1)),
        (1.36, lambda: total("vit_small", 8, remat="blocks")),
        (1.27, lambda: total("vit_small", 2, accumulates=True)),
        (1.60, lambda: total("vit_small", 8, 0.5)),
        (1.64, lambda: total("vit_small", 8, half=True)),
        (4.34, lambda: total("vit_small", 8, jax_on_cpu=True)),
        (3.21, lambda: total("vit_small", 8, 0.5, jax_on_cpu=True)),
    ],
)
def test_estimates_lie_near_what_was_measured(measured, made):
    assert made() == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize("overrides", [{}, {"positions": "learnable", "mlp_ratio": 2.0}])
def test_weights_are_counted_as_keras_counts_them(overrides):
    sizes = SIZES | overrides
    model = build_pretrainer("vit_tiny", **sizes)
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    assert parameters(architecture("vit_tiny", **sizes)) == trained
