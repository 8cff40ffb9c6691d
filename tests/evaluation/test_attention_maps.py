"""Attention maps beside softmax(q·kᵀ / √d) worked out with NumPy from the weights of the layers."""

import numpy as np
import pytest
from keras import ops
from replicas import engine_of
from scipy.special import softmax
from tiny import SIZES, tiny_pretrainer, videos

from mae.evaluation.attention_maps import attention_map
from mae.models.classifier import build_classifier
from mae.patches import patchify

HEADS = SIZES["num_heads"]


def array(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), np.float64)


def normalised(tokens, norm):
    mean, variance = tokens.mean(-1, keepdims=True), tokens.var(-1, keepdims=True)
    return (tokens - mean) / np.sqrt(variance + norm.epsilon) * array(norm.gamma) + array(norm.beta)


def expected_weights(block, tokens):
    """(b, heads, n, n)."""
    b, n, d = tokens.shape
    attention = block.attention
    kernel = array(attention.qkv.kernel)
    projected = normalised(tokens, block.norm1) @ kernel
    q, k = projected[..., :d] + array(attention.q_bias), projected[..., d : 2 * d]
    q, k = (x.reshape(b, n, HEADS, d // HEADS).transpose(0, 2, 1, 3) for x in (q, k))
    return softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(d / HEADS), axis=-1)


def expected_maps(model, clips, block):
    encoder = model.encoder
    patches = array(patchify(clips, model.architecture.tubelet))
    tokens = patches @ array(encoder.patch_embed.kernel) + array(encoder.patch_embed.bias)
    tokens = tokens + array(encoder.positions.table)
    for before in encoder.blocks[:block]:
        tokens = array(before(tokens.astype("float32"), training=False))
    return expected_weights(encoder.blocks[block], tokens)


@pytest.mark.parametrize("block", [0, 1])
def test_of_a_token_and_of_the_pooled_output(block):
    model, clips = tiny_pretrainer(), videos()
    expected = expected_maps(model, clips, block)
    of_token = array(attention_map(model, clips, block, token=5))
    np.testing.assert_allclose(of_token, expected[:, :, 5], atol=1e-5)
    np.testing.assert_allclose(of_token.sum(-1), 1, atol=1e-5)
    pooled = array(attention_map(model, clips, block, token=None))
    np.testing.assert_allclose(pooled, expected.mean(2), atol=1e-5)
    assert np.abs(of_token - pooled).max() > 0.01


def test_a_classifier_that_reads_its_first_token_is_looked_at_there():
    sizes = {name: size for name, size in SIZES.items() if not name.startswith("decoder")}
    clips = videos()
    for pooling, reduce in (("first", lambda maps: maps[:, :, 0]), ("mean", lambda maps: maps.mean(2))):
        model = build_classifier("vit_tiny", 3, pooling=pooling, **sizes)
        expected = reduce(expected_maps(model, clips, 1))
        np.testing.assert_allclose(array(attention_map(model, clips, 1, None)), expected, atol=1e-5)


def test_an_engine_computes_it_in_half_precision_nearly_alike():
    clips = videos()
    made = []
    for dtype in (None, "mixed_bfloat16"):
        model = tiny_pretrainer(dtype=dtype)
        run = engine_of(1).local(model, lambda x, model=model: attention_map(model, x, 1, 3))
        made.append(np.asarray(run(clips)))
    assert made[1].dtype == np.float32
    np.testing.assert_allclose(made[0], made[1], atol=0.05)
