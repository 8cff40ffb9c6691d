"""Models that look like a VideoMAE and are none: told by a name that only they have, and refused by theirs.

Without this they would be refused, too, for hundreds of tensors without a place, and nobody would know why.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mae.errors import ConfigError


@dataclass(frozen=True)
class _Stranger:
    """A family of models."""

    title: str
    mark: re.Pattern[str]  # found in a name that only they have
    why: str  # the end of the sentence "… is …, which"


IMAGE_MAE = _Stranger(
    "an MAE of images",
    re.compile(r"(?:^|\.)cls_token$"),
    "has a class token and patches of one frame: inflate=true makes an encoder of videos of it",
)
_STRANGERS = (
    _Stranger(
        "a V-JEPA",
        re.compile(r"(?:^|\.)(?:predictor_embed|predictor_blocks|predictor_pos_embed|predictor\.layer)\b"),
        "has other positions, and a predictor of features instead of a decoder of pixels",
    ),
    _Stranger(
        "an MAE-ST",
        re.compile(r"(?:^|\.)pos_embed_(?:spatial|temporal|class)$"),
        "has positions of space and of time, learnt apart, and a class token",
    ),
    _Stranger(
        "an encoder with cosine attention (cos_attn)",
        re.compile(r"\.attn\.(?:scale|logit_scale)$"),
        "normalises queries and keys: this project's models have cos_attn=False only",
    ),
    _Stranger(
        "an InternVideo2",
        re.compile(r"\.attn\.[qk]_norm\.|(?:^|\.)clip_projector\."),
        "normalises queries and keys, and pools by attention",
    ),
    IMAGE_MAE,
)
# Entries beside one another in the table of a file.
_ENTRIES = {frozenset({"encoder", "predictor"}): _STRANGERS[0], frozenset({"target_encoder"}): _STRANGERS[0]}
# `model_type` of a config.json.
_MODEL_TYPES = {"vjepa2": _STRANGERS[0], "vit_mae": IMAGE_MAE}


def check_names(source: Path, names: Collection[str]) -> None:
    """Raises `ConfigError` where a tensor has a name that only another model's has, or none that tells of positions.

    A VideoMAE that stores no table has the fixed one, and then its queries and values have a bias each.
    """
    fused = next((name for name in names if name.endswith("attn.qkv.bias")), None)
    if fused is not None and not any("pos_embed" in name for name in names):
        raise ConfigError(
            f"{source} holds one bias of queries, keys and values ({fused}) and no table of positions, no VideoMAE: "
            "such are encoders with rotary positions, as V-JEPA 2"
        )
    for stranger in _STRANGERS:  # the last one's mark others have, too
        if marked := next(filter(stranger.mark.search, names), None):
            raise _refused(source, stranger, f" ({marked})")


def check_entries(source: Path, table: Mapping[Any, Any]) -> None:
    """Raises `ConfigError` where a file has the entries of another model's."""
    for entries, stranger in _ENTRIES.items():
        if entries <= table.keys():
            raise _refused(source, stranger, f" (entries {' and '.join(sorted(entries))})")


def check_model_type(source: Path, model_type: Any) -> None:
    """Raises `ConfigError` where a `config.json` is that of another model that is known."""
    if isinstance(model_type, str) and model_type in _MODEL_TYPES:
        raise _refused(source, _MODEL_TYPES[model_type], f" (model_type {model_type})")


def _refused(source: Path, stranger: _Stranger, seen: str) -> ConfigError:
    return ConfigError(f"{source} is {stranger.title}{seen}, no VideoMAE: it {stranger.why}")
