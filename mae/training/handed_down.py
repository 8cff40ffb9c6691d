"""What a run hands down to a fine-tuning of it: model, data set and clips, as settings of the command line."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mae.cli.quoting import NONE, setting
from mae.data.config import DATASET_KINDS

CONF = Path(__file__).parents[2] / "conf"

# Of the encoder and of its clips. What the decoder is and how much is dropped, fine-tuning decides anew.
_SIZES = (
    *("image_size", "num_frames", "patch_size", "tubelet_size", "in_channels"),
    *("embed_dim", "depth", "num_heads", "mlp_ratio", "positions", "layer_norm_epsilon"),
)


def handed_down(config: Mapping[str, Any]) -> dict[str, str]:
    """The settings of a run's model and data set that are not those of their groups: `key=value` by key.

    Args:
        config: of the run, as in its `config.yaml`; what earlier versions did not have may be missing.
    """
    model, dataset = config["model"], config["dataset"]
    given: dict[str, Any] = {"model": model["preset"]}
    given |= {f"model.{name}": model[name] for name in _SIZES if model.get(name) is not None}
    kind = _kind(dataset)
    group = _group(dataset["name"], kind)
    usual = OmegaConf.load(CONF / "dataset" / f"{group}.yaml").dataset
    given["dataset"] = group
    for field in fields(DATASET_KINDS[kind]):
        if field.name in dataset and dataset[field.name] != usual[field.name]:
            given[f"dataset.{field.name}"] = dataset[field.name]
    return {key: hydra_setting(key, value) for key, value in given.items()}


def hydra_setting(key: str, value: Any) -> str:
    """`key=value` as Hydra's commands read it; in a text, `${` is no reference."""
    if isinstance(value, str):
        return setting(key, value.replace("${", r"\${"))
    return f"{key}={NONE if value is None else str(value).lower()}"


def _kind(dataset: Mapping[str, Any]) -> str:
    """The kind of data set that has these settings; a config does not name it."""
    return max(DATASET_KINDS, key=lambda kind: sum(field.name in dataset for field in fields(DATASET_KINDS[kind])))


def _group(name: str, kind: str) -> str:
    """The file in `conf/dataset` to start from: the one of that name, or else the plain one of the kind."""
    named = CONF / "dataset" / f"{name}.yaml"
    is_usual = "/" not in name and named.exists() and OmegaConf.load(named).dataset.kind == kind
    return name if is_usual else kind
