"""`config.json` of a Hugging Face VideoMAE: our sizes from theirs, and theirs from ours."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from mae.checkpoints.metadata import KEY, Metadata, metadata_from
from mae.checkpoints.schema import FLAG, Rule, above_zero, check, class_names, one_or_equal, read_json, whole
from mae.checkpoints.weights import Weights
from mae.errors import ConfigError, shown
from mae.presets import ABOVE_ZERO, WHOLE, Architecture

# Two norms of transformers' VideoMAE have PyTorch's default epsilon whatever layer_norm_eps says (5.23, measured).
HEAD_NORM_EPSILON = 1e-5
DEFAULT_EPSILON = 1e-12

# Our size -> theirs; a config.json leaves out what has the library's default, given here.
_SIZES: dict[str, tuple[str, Any]] = {
    "image_size": ("image_size", 224),
    "patch_size": ("patch_size", 16),
    "in_channels": ("num_channels", 3),
    "num_frames": ("num_frames", 16),
    "tubelet_size": ("tubelet_size", 2),
    "embed_dim": ("hidden_size", 768),
    "depth": ("num_hidden_layers", 12),
    "num_heads": ("num_attention_heads", 12),
    "layer_norm_epsilon": ("layer_norm_eps", DEFAULT_EPSILON),
    "decoder_embed_dim": ("decoder_hidden_size", 384),
    "decoder_depth": ("decoder_num_hidden_layers", 4),
    "decoder_num_heads": ("decoder_num_attention_heads", 6),
}
# What a config.json may hold of these; of the others it is said in `read_config`.
_RULES: dict[str, Rule] = {
    **{theirs: one_or_equal(whole(*WHOLE[ours])) for ours, (theirs, _) in _SIZES.items() if ours in WHOLE},
    "layer_norm_eps": above_zero(ABOVE_ZERO["layer_norm_epsilon"]),
    "intermediate_size": whole(1, 1 << 22),
    "use_mean_pooling": FLAG,
    "norm_pix_loss": FLAG,
}
_CARD_BYTES = 1 << 16  # of a model's card; its head comes first
# What no tensor shows and this project's models have in one way only; the last two are of version 2.
_ONLY = {"hidden_act": "gelu", "qkv_bias": True, "qv_bias": True, "qk_scale": None, "cos_attn": False}
_CLASSES = {"pretrainer": "VideoMAEForPreTraining", "classifier": "VideoMAEForVideoClassification"}


def read_config(folder: Path, weights: Weights) -> None:
    """Adds to `weights` what `config.json` says.

    Raises:
        ConfigError: no such file, not a VideoMAE, or options that this project's models do not have.
    """
    path = folder / "config.json"
    config = read_json(path)
    if config.get("model_type", "videomae") != "videomae":
        raise ConfigError(f"{folder} is a {shown(config['model_type'])}, not a VideoMAE")
    for name, only in _ONLY.items():
        if (value := config.get(name, only)) != only:
            raise ConfigError(f"{folder}: {name}={shown(value)}, and this project's models have {name}={only!r} only")
    for name, rule in _RULES.items():
        if name in config:
            _check_square(folder, name, config[name])
            check(path, name, config[name], rule)
    pooling = "mean" if config.get("use_mean_pooling", True) else "first"
    if weights.kind == "classifier" and pooling != weights.pooling:
        raise ConfigError(
            f"{folder}: use_mean_pooling={pooling == 'mean'}, and its tensors are those of pooling={weights.pooling}"
        )
    for ours, (theirs, default) in _SIZES.items():
        if weights.kind == "pretrainer" or not ours.startswith("decoder"):
            value = config.get(theirs, default)
            weights.told[ours] = value[0] if isinstance(value, list) else value
    weights.told["mlp_ratio"] = config.get("intermediate_size", 3072) / weights.told["embed_dim"]
    weights.told["positions"] = "sincos"  # transformers' VideoMAE has no other
    if weights.kind == "classifier":
        labels = class_names(path, "id2label", config.get("id2label"))
        # What transformers writes where nobody gave names says nothing.
        if any(label != f"LABEL_{number}" for number, label in labels.items()):
            weights.id2label = labels
    # Last: whoever trained the folder further with transformers changed what is above, and left this as it was.
    if KEY in config:
        weights.take(metadata_from(config[KEY], path))
    training = weights.training
    target = _target(config, training.target) if weights.kind == "pretrainer" else training.target
    weights.training = replace(training, target=target, licence=training.licence or _licence(folder))


def _target(config: dict[str, Any], told: str | None) -> str:
    """What the decoder was trained to predict; `told` is finer than `norm_pix_loss`, which has no word for mae_st."""
    if not config.get("norm_pix_loss", True):
        return "pixels"
    return "videomae" if told in (None, "pixels") else told


def _licence(folder: Path) -> str | None:
    """That of the weights, as the card in the folder states it; None: no card, or it does not."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    with open(card, "rb") as file:
        text = file.read(_CARD_BYTES).decode(errors="replace")
    head = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    found = re.search(r"^license:(.*)$", head[1], re.MULTILINE) if head else None
    return (found[1].strip().strip("\"'") or None) if found else None


def use_defaults(weights: Weights) -> None:
    """The norms' epsilons where there is no `config.json`."""
    weights.told["layer_norm_epsilon"] = DEFAULT_EPSILON
    weights.told["head_norm_epsilon"] = HEAD_NORM_EPSILON


def make_config(model: Any, kind: str, metadata: Metadata) -> dict[str, Any]:
    """The content of `config.json` for a model of this project."""
    a: Architecture = model.architecture
    config = {theirs: getattr(a, ours) for ours, (theirs, _) in _SIZES.items()}
    config |= {
        "architectures": [_CLASSES[kind]],
        "model_type": "videomae",
        "intermediate_size": round(a.embed_dim * a.mlp_ratio),
        "decoder_intermediate_size": round(a.decoder_embed_dim * a.mlp_ratio),
        "layer_norm_eps": a.layer_norm_epsilon,
        "hidden_act": "gelu",
        "hidden_dropout_prob": a.dropout_rate,
        "attention_probs_dropout_prob": a.attention_dropout_rate,
        "initializer_range": 0.02,
        "norm_pix_loss": metadata.training.target != "pixels",
        "qv_bias": True,
        "qkv_bias": True,  # its name in transformers 4
        # For pre-training: without it the encoder would end before its last norm.
        "use_mean_pooling": kind == "classifier" and model.pooling == "mean",
        "dtype": "float32",
        KEY: {name: value for name, value in metadata.as_dict().items() if name != "id2label"},
    }
    if kind == "classifier":
        labels = metadata.id2label or {number: f"LABEL_{number}" for number in range(model.num_classes)}
        config["id2label"] = {str(number): label for number, label in labels.items()}
        config["label2id"] = {label: number for number, label in labels.items()}
    return dict(sorted(config.items()))


def _check_square(folder: Path, name: str, value: Any) -> None:
    if isinstance(value, list) and any(other != value[0] for other in value):
        listed = ", ".join(map(shown, value[:4]))
        raise ConfigError(f"{folder}: {name}=[{listed}], and this project's models take squares only")
