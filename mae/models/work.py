"""How much a step of pre-training computes."""

from mae.presets import Architecture


def flops_per_clip(a: Architecture, visible: int, predicted: int) -> float:
    """Floating-point operations of one clip's matrix products, forward and backward (twice the forward's).

    What is recomputed does not count: a trick that recomputes must show as time, not as work.
    """

    def blocks(tokens: int, width: int, depth: int) -> float:
        dense = (4 + 2 * a.mlp_ratio) * width * width
        return depth * tokens * 2 * (dense + 2 * tokens * width)

    forward = blocks(visible, a.embed_dim, a.depth)
    forward += blocks(visible + predicted, a.decoder_embed_dim, a.decoder_depth)
    forward += 2 * visible * a.embed_dim * (a.patch_dim + a.decoder_embed_dim)
    forward += 2 * predicted * a.decoder_embed_dim * a.patch_dim
    return 3 * forward
