"""The weights that a fine-tuning starts from, checked before anything is built."""

from pathlib import Path

from mae.checkpoints.names import HEAD
from mae.checkpoints.read import read_weights
from mae.checkpoints.weights import Weights
from mae.errors import ConfigError
from mae.finetuning.config import FinetuneConfig
from mae.models.classifier import Classifier
from mae.presets import PRESETS

# Sizes that loading cannot adapt; frames, pixels, tubelets and channels it can.
_FIXED = ("embed_dim", "depth", "num_heads", "patch_size")


def weights_to_start_from(config: FinetuneConfig) -> Weights | None:
    """Those of `init_from`, without their head where a fresh one is asked for; None: training from scratch.

    Raises:
        ConfigError: nothing there, this run itself, or a model of another size; the latter says which to give.
    """
    source = config.init_from
    if source is None:
        return None
    if Path(source).resolve() == Path(config.run_dir).resolve():
        raise ConfigError(f"init_from={source} is this run itself; resume=auto continues it")
    weights = read_weights(source)
    _check_sizes(config, weights)
    if config.fresh_head:
        weights.arrays = {name: array for name, array in weights.arrays.items() if not name.startswith(HEAD)}
        weights.id2label = {}
    return weights


def _check_sizes(config: FinetuneConfig, weights: Weights) -> None:
    held, wanted = weights.sizes(), config.model.architecture
    different = [name for name in _FIXED if name in held and held[name] != getattr(wanted, name)]
    if not different:
        return
    same = [name for name, a in PRESETS.items() if all(held.get(size) == getattr(a, size) for size in _FIXED)]
    advice = f"model={same[0]}" if same else " ".join(f"model.{name}={held[name]}" for name in different)
    there = ", ".join(f"{name} {held[name]}" for name in different)
    here = ", ".join(f"{name} {getattr(wanted, name)}" for name in different)
    raise ConfigError(
        f"init_from={config.init_from} has {there}, and model={config.model.preset} has {here}: give {advice}"
    )


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
