"""How much a step of training computes."""

from mae.presets import Architecture


def flops_per_clip(a: Architecture, visible: int, predicted: int) -> float:
    """Floating-point operations of one clip's matrix products, forward and backward (twice the forward's).

    What is recomputed does not count: a trick that recomputes must show as time, not as work.
    """
    forward = _blocks(a, visible, a.embed_dim, a.depth)
    forward += _blocks(a, visible + predicted, a.decoder_embed_dim, a.decoder_depth)
    forward += 2 * visible * a.embed_dim * (a.patch_dim + a.decoder_embed_dim)
    forward += 2 * predicted * a.decoder_embed_dim * a.patch_dim
    return 3 * forward


def classifier_flops_per_clip(a: Architecture, num_classes: int, frozen_blocks: int | None = 0) -> float:
    """As `flops_per_clip`, of a classifier that sees all tokens.

    Args:
        frozen_blocks: blocks that keep their weights, with the embedding, and have no backward pass; None: all.
    """
    frozen = a.depth if frozen_blocks is None else frozen_blocks
    embedding = 2.0 * a.num_tokens * a.embed_dim * a.patch_dim
    trained = _blocks(a, a.num_tokens, a.embed_dim, a.depth - frozen) + 2 * a.embed_dim * num_classes
    kept = _blocks(a, a.num_tokens, a.embed_dim, frozen)
    return 3 * trained + kept + (embedding if frozen_blocks is None or frozen else 3 * embedding)


def _blocks(a: Architecture, tokens: int, width: int, depth: int) -> float:
    """Of the forward pass: the four projections of attention, two layers of the MLP, scores and their use."""
    dense = (4 + 2 * a.mlp_ratio) * width * width
    return depth * tokens * 2 * (dense + 2 * tokens * width)
