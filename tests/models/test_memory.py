"""What a model keeps from its forward pass for the backward one: the memory that grows with depth and batch.

It is counted in the compiled graph, so no figure depends on the machine; what is expected is counted by hand.
"""

from functools import cache

import numpy as np
import tensorflow as tf
from tiny import SIZES, masks, tiny_pretrainer, videos

from mae.masking import running_cell_mask
from mae.models.classifier import build_classifier
from mae.models.pretrainer import clip_losses
from mae.models.tokens import predicted_indices, split_indices

CLIPS, TOKENS, VISIBLE, WIDTH, DECODER_WIDTH = 2, 32, 8, 24, 12
FLOAT = 4  # bytes


def kept_bytes(model, loss_of):
    """Bytes of the arrays that operations before the loss hand to operations after it, weights apart."""

    @tf.function(autograph=False)
    def run():
        with tf.GradientTape() as tape:
            loss = loss_of()
        return loss, tape.gradient(loss, [v.value for v in model.trainable_variables])

    loss, *gradients = run.get_concrete_function().graph.outputs
    before = behind([loss])
    later = behind(gradients) - before
    handed = {in_memory(tensor).ref() for op in later for tensor in op.inputs if tensor.op in before}
    arrays = [t.deref() for t in handed if t.deref().op.type not in ("Const", "Placeholder", "ReadVariableOp")]
    return sum(int(np.prod(array.shape)) * array.dtype.size for array in arrays)


def behind(tensors):
    """All operations that some tensors depend on."""
    found, left = set(), [tensor.op for tensor in tensors]
    while left:
        op = left.pop()
        if op not in found:
            found.add(op)
            left += [tensor.op for tensor in op.inputs]
    return found


def in_memory(tensor):
    """The array whose memory a tensor is, under whatever name or shape."""
    while tensor.op.type in ("Identity", "IdentityN", "StopGradient", "Reshape"):
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


@cache
def of_pretraining(decoder_mask=0.0, **overrides):
    model = tiny_pretrainer(**overrides)
    is_masked = masks(CLIPS)
    visible, masked = split_indices(is_masked)
    if decoder_mask:
        is_decoder_masked = running_cell_mask((2, 4, 4), decoder_mask, CLIPS, seed=0)
        masked, _ = predicted_indices(is_masked, is_decoder_masked, int((is_masked & ~is_decoder_masked).sum(1).max()))
    clips = tf.constant(videos(CLIPS))
    kept = kept_bytes(model, lambda: tf.reduce_mean(clip_losses(model, clips, visible, masked, training=True)))
    return kept, VISIBLE + masked.shape[1]


def of_finetuning(**overrides):
    sizes = {name: size for name, size in SIZES.items() if not name.startswith("decoder")}
    model = build_classifier("vit_tiny", 3, **{**sizes, **overrides})
    clips = tf.constant(videos(CLIPS))
    return kept_bytes(model, lambda: tf.reduce_sum(model(clips, training=True) ** 2))


INPUT_OF_ENCODER = CLIPS * VISIBLE * WIDTH * FLOAT


def test_with_remat_a_block_keeps_its_input_alone():
    """One of the encoder does, those of the decoder do below."""
    assert of_pretraining(remat="blocks", depth=3)[0] - of_pretraining(remat="blocks")[0] == INPUT_OF_ENCODER
    assert of_pretraining(depth=3)[0] - of_pretraining()[0] > 10 * INPUT_OF_ENCODER


def test_with_remat_blocks_as_keras_differentiates_them_do_not_keep_more():
    """A block of the encoder and one of the decoder."""
    as_keras = {"remat": "blocks", "lean": False}
    more = of_pretraining(**as_keras, depth=3, decoder_depth=2)[0] - of_pretraining(**as_keras)[0]
    assert more == INPUT_OF_ENCODER + CLIPS * TOKENS * DECODER_WIDTH * FLOAT


def test_remat_of_fine_tuning_likewise():
    input_of_block = CLIPS * TOKENS * WIDTH * FLOAT
    assert of_finetuning(remat="blocks", depth=3) - of_finetuning(remat="blocks") == input_of_block


def test_the_decoder_keeps_only_what_its_mask_leaves():
    """Of 24 masked tokens half are predicted: 20 tokens a block instead of 32."""
    for decoder_mask, tokens in (((), 32), ((0.5,), 20)):
        shallow, seen = of_pretraining(*decoder_mask, remat="blocks")
        assert seen == tokens
        deep, _ = of_pretraining(*decoder_mask, remat="blocks", decoder_depth=2)
        assert deep - shallow == CLIPS * tokens * DECODER_WIDTH * FLOAT
    assert of_pretraining(0.5)[0] < of_pretraining()[0]
