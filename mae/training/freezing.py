"""Weights that fine-tuning leaves as they were loaded."""

from mae.models.classifier import Classifier


def freeze(model: Classifier, blocks: int | None) -> None:
    """Takes weights out of `model.trainable_variables`; call it before the optimizer is built, which must not hold any.

    What is random in training (drop path, dropout) stays so in frozen blocks.

    Args:
        blocks: the embedding, its positions and so many blocks are frozen; 0: nothing; None: the whole encoder, so
            that only the head and the norm before it train.
    """
    encoder = model.encoder
    if blocks is None:
        encoder.trainable = False
    elif blocks > 0:
        for layer in (encoder.patch_embed, encoder.positions, *encoder.blocks[:blocks]):
            layer.trainable = False
