"""Counted by hand, product by product, for sizes small enough for it."""

import pytest

from mae.models.work import classifier_flops_per_clip, flops_per_clip
from mae.presets import Architecture

SMALL = Architecture(
    image_size=8, num_frames=4, patch_size=4, tubelet_size=2, embed_dim=6, depth=2, num_heads=2, mlp_ratio=3.0,
    decoder_embed_dim=4, decoder_depth=1, decoder_num_heads=2,
)  # fmt: skip


def product(rows, inner, columns):
    """A multiplication and an addition for each of the terms."""
    return 2 * rows * inner * columns


def block(tokens, width, hidden):
    projections = 4 * product(tokens, width, width)  # queries, keys, values, and what is made of them
    scores_and_use = product(tokens, width, tokens) + product(tokens, tokens, width)
    return projections + scores_and_use + product(tokens, width, hidden) + product(tokens, hidden, width)


def test_pretraining():
    # 2 × 2 × 2 = 8 tokens of 2 × 4 × 4 × 3 = 96 values; the encoder sees 2, the decoder all 8.
    forward = product(2, 96, 6) + 2 * block(2, 6, 18)
    forward += product(2, 6, 4) + block(8, 4, 12) + product(6, 4, 96)
    assert forward == 2304 + 2 * 1536 + 96 + 3584 + 4608
    assert flops_per_clip(SMALL, visible=2, predicted=6) == 3 * forward


def test_with_a_decoder_mask():
    forward = product(2, 96, 6) + 2 * block(2, 6, 18) + product(2, 6, 4) + block(5, 4, 12) + product(3, 4, 96)
    assert flops_per_clip(SMALL, visible=2, predicted=3) == 3 * forward


def test_a_classifier_sees_all_tokens_and_has_no_backward_pass_of_what_is_frozen():
    embedding, one, head = product(8, 96, 6), block(8, 6, 18), product(1, 6, 5)
    assert classifier_flops_per_clip(SMALL, 5) == 3 * (embedding + 2 * one + head)
    assert classifier_flops_per_clip(SMALL, 5, frozen_blocks=1) == embedding + one + 3 * (one + head)
    assert classifier_flops_per_clip(SMALL, 5, frozen_blocks=None) == embedding + 2 * one + 3 * head


def test_vit_base_is_about_what_is_published():
    """180 GFLOP for the encoder of all 1568 tokens (arXiv:2203.12602, table 6); a product and its sum count as one."""
    a = Architecture()
    assert classifier_flops_per_clip(a, 400) / 3 / 2 / 1e9 == pytest.approx(180, rel=0.01)
