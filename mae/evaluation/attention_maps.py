"""Where an encoder looks: the attention of one token, or of its pooled output, over all tokens of a clip."""

from typing import Any

from keras import ops

from mae.checks import check_videos
from mae.patches import normalised, patchify


def attention_map(model: Any, videos: Any, block: int, token: int | None) -> Any:
    """How much of a block's attention each token of a clip gets, from each head.

    Of the pooled output it is the mean over all tokens that attend, since the output is the mean of the tokens; where a
    classifier reads its first token, it is that token's.

    Args:
        model: with an `architecture` and an `encoder`.
        videos: (b, T, H, W, c) as in `mae.evaluation.features.encode`.
        block: index of the encoder's block.
        token: index of the token that attends; None: the pooled output.

    Returns:
        (b, heads, t·h·w) float32; sums over the last axis are 1.

    Raises:
        ValueError: videos of other sizes than the model's, or of other integers.
    """
    a = model.architecture
    check_videos(videos, a)
    encoder = model.encoder
    tokens = encoder.positions(encoder.patch_embed(patchify(normalised(videos, a.statistics), a.tubelet)))
    for before in encoder.blocks[:block]:
        tokens = before(tokens, training=False)
    if token is None and getattr(model, "pooling", "mean") == "first":
        token = 0
    asked = encoder.blocks[block]
    return ops.mean(asked.attention.attention_weights(tokens, asked.norm1, token), axis=2)
