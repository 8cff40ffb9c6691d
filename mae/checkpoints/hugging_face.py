"""`config.json` of a VideoMAE, transformers' or version 2's own: our sizes from theirs, and theirs from ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mae.checkpoints.metadata import KEY, Metadata, metadata_from
from mae.checkpoints.schema import (
    FLAG,
    Rule,
    above_zero,
    check,
    class_names,
    one_or_equal,
    one_or_pair,
    read_json,
    table,
    whole,
)
from mae.checkpoints.strangers import check_model_type
from mae.checkpoints.weights import Weights
from mae.errors import ConfigError, shown
from mae.options import CLASSIFICATION, MULTILABEL, REGRESSION
from mae.picture_size import LARGEST
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
_CARD_BYTES = 1 << 16  # of a model's card; its head comes first
# What transformers calls what a head is for, where it is no class.
_TASKS = {"multi_label_classification": MULTILABEL, "regression": REGRESSION}


@dataclass(frozen=True)
class _Dialect:
    """How the `config.json` of one family of models says what they are."""

    sizes: Mapping[str, tuple[str, Any]]  # our size -> theirs, and what it is where the file leaves it out
    only: Mapping[str, Any]  # what no tensor shows and this project's models have in one way only
    table: str | None = None  # the entry that holds all of this; None: the file itself

    def told(self, path: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The table of sizes, every one of them checked.

        Raises:
            ConfigError: values that no model has, or options that this project's models do not have.
        """
        told = config if self.table is None else check(path, self.table, config.get(self.table), table())
        for name, only in self.only.items():
            if (value := told.get(name, only)) != only:
                raise ConfigError(
                    f"{path.parent}: {name}={shown(value)}, and this project's models have {name}={only!r} only"
                )
        for name, rule in self.rules.items():
            if name in told:
                if name != self.sizes["image_size"][0]:
                    _check_square(path.parent, name, told[name])
                check(path, name, told[name], rule)
        return told

    @property
    def rules(self) -> dict[str, Rule]:
        """What each entry may hold."""
        rules = {
            theirs: one_or_equal(whole(*WHOLE[ours])) if ours in WHOLE else above_zero(ABOVE_ZERO[ours])
            for ours, (theirs, _) in self.sizes.items()
            if ours != "image_size"
        }
        rules[self.sizes["image_size"][0]] = one_or_pair(whole(1, LARGEST))
        flags = dict.fromkeys(("use_mean_pooling", "norm_pix_loss", "use_learnable_pos_emb"), FLAG)
        return rules | {"intermediate_size": whole(1, 1 << 22)} | flags


_COMMON: dict[str, Any] = {"qkv_bias": True, "qk_scale": None, "cos_attn": False}
_TRANSFORMERS = _Dialect(_SIZES, _COMMON | {"hidden_act": "gelu", "qv_bias": True})
_IMAGES = replace(
    _TRANSFORMERS, sizes={ours: _SIZES[ours] for ours in _SIZES if ours not in ("num_frames", "tubelet_size")}
)
_VERSION_2 = _Dialect(
    {
        "image_size": ("img_size", 224),
        "patch_size": ("patch_size", 16),
        "in_channels": ("in_chans", 3),
        "num_frames": ("num_frames", 16),
        "tubelet_size": ("tubelet_size", 2),
        "embed_dim": ("embed_dim", 768),
        "depth": ("depth", 12),
        "num_heads": ("num_heads", 12),
        "mlp_ratio": ("mlp_ratio", 4.0),
        "layer_norm_epsilon": ("layer_norm_eps", 1e-6),
    },
    _COMMON,
    "model_config",
)
_VERSION_2_TYPE = "VideoMAEv2"  # begins a model_type: VideoMAEv2_Base, VideoMAEv2_giant
_CLASSES = {"pretrainer": "VideoMAEForPreTraining", "classifier": "VideoMAEForVideoClassification"}


def read_config(folder: Path, weights: Weights, inflate: bool = False) -> None:
    """Adds to `weights` what `config.json` says.

    Args:
        inflate: the model is an MAE of images.

    Raises:
        ConfigError: no such file, not a VideoMAE, or options that this project's models do not have.
    """
    path = folder / "config.json"
    config = read_json(path)
    dialect = _dialect(folder, config.get("model_type", "videomae"), inflate)
    told = dialect.told(path, config)
    pooling = "mean" if told.get("use_mean_pooling", True) else "first"
    if weights.kind == "classifier" and pooling != weights.pooling:
        raise ConfigError(
            f"{folder}: use_mean_pooling={pooling == 'mean'}, and its tensors are those of pooling={weights.pooling}"
        )
    for ours, (theirs, default) in dialect.sizes.items():
        if weights.kind == "pretrainer" or not ours.startswith("decoder"):
            value = told.get(theirs, default)
            weights.told[ours] = _one_if_equal(value)
    if "mlp_ratio" not in dialect.sizes:
        weights.told["mlp_ratio"] = told.get("intermediate_size", 3072) / weights.told["embed_dim"]
    if not inflate:
        weights.told["positions"] = "learnable" if told.get("use_learnable_pos_emb") else "sincos"
    if weights.kind == "classifier":
        labels = class_names(path, "id2label", config.get("id2label"))
        # What transformers writes where nobody gave names says nothing.
        if any(label != f"LABEL_{number}" for number, label in labels.items()):
            weights.id2label = labels
        weights.task = _TASKS.get(str(config.get("problem_type")), CLASSIFICATION)
    # Last: whoever trained the folder further with transformers changed what is above, and left this as it was.
    if KEY in config:
        weights.take(metadata_from(config[KEY], path))
    training = weights.training
    target = _target(config, training.target) if weights.kind == "pretrainer" else training.target
    weights.training = replace(training, target=target, licence=training.licence or _licence(folder))


def _dialect(folder: Path, model_type: Any, inflate: bool) -> _Dialect:
    if inflate and model_type == "vit_mae":
        return _IMAGES
    check_model_type(folder, model_type)
    if model_type == "videomae":
        return _TRANSFORMERS
    if isinstance(model_type, str) and model_type.startswith(_VERSION_2_TYPE):
        return _VERSION_2
    raise ConfigError(f"{folder} is a {shown(model_type)}, not a VideoMAE")


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


def hugging_face_class(kind: str) -> str:
    """The class of transformers that a folder of such a model is opened with."""
    return _CLASSES[kind]


def make_config(model: Any, kind: str, metadata: Metadata) -> dict[str, Any]:
    """The content of `config.json` for a model of this project."""
    a: Architecture = model.architecture
    config = {theirs: getattr(a, ours) for ours, (theirs, _) in _SIZES.items()}
    config |= {
        "architectures": [hugging_face_class(kind)],
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
        if model.task != CLASSIFICATION:
            config["problem_type"] = next(name for name, task in _TASKS.items() if task == model.task)
    return dict(sorted(config.items()))


def _one_if_equal(value: Any) -> Any:
    """A size as ours are: one number where a list repeats it, else both."""
    if not isinstance(value, list):
        return value
    return value[0] if len(set(value)) == 1 else tuple(value)


def _check_square(folder: Path, name: str, value: Any) -> None:
    if isinstance(value, list) and any(other != value[0] for other in value):
        listed = ", ".join(map(shown, value[:4]))
        raise ConfigError(f"{folder}: {name}=[{listed}], and this project's patches are squares")
