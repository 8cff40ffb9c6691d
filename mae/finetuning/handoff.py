"""The weights that a fine-tuning starts from, checked before anything is built."""

from mae.checkpoints.names import HEAD
from mae.checkpoints.target_scale import KERNEL, TargetScale
from mae.checkpoints.weights import Weights
from mae.finetuning.config import FinetuneConfig
from mae.models.classifier import Classifier
from mae.training.starting_weights import starting_weights

_FIXED = ("embed_dim", "depth", "num_heads")  # sizes that loading cannot adapt


def weights_to_start_from(config: FinetuneConfig) -> Weights | None:
    """Those of `init_from`, without their head where a fresh one is asked for; errors as `starting_weights`."""
    weights = starting_weights(config, _FIXED)
    if weights is not None and config.fresh_head:
        weights.arrays = {name: array for name, array in weights.arrays.items() if not name.startswith(HEAD)}
        weights.id2label = {}
    return weights


def learn_in_deviations(weights: Weights, scale: TargetScale) -> None:
    """A head of `weights` that says numbers in their unit is made one that says them as they are learnt here."""
    if weights.kind == "classifier" and weights.arrays[KERNEL].shape[-1] == len(scale.mean):
        weights.arrays |= scale.head_in_deviations(weights.arrays)


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
