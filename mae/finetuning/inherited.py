"""What a fine-tuning takes from the run that it starts from, where its command line does not say it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mae.checkpoints.run_state import read_settings
from mae.checkpoints.schema import check, table, text
from mae.cli.overrides import composed_settings
from mae.cli.quoting import NONE, hydra_setting, swept, unquoted
from mae.data.config import DATASET_KINDS
from mae.errors import ConfigError, check_choice
from mae.finetuning.config import RANDOM
from mae.options import TASKS
from mae.presets import PRESETS

# Of the encoder and its clips. What the decoder is and how much is dropped at random, fine-tuning decides anew.
_SIZES = (
    *("image_size", "num_frames", "patch_size", "tubelet_size", "in_channels", "mean", "std"),
    *("embed_dim", "depth", "num_heads", "mlp_ratio", "positions", "layer_norm_epsilon"),
)
# Of `data.`: what the files ask for, not the training.
_FILES = (
    *("frames", "decoder", "channels", "window", "resize"),
    *("timeout_s", "remote_cache", "remote_cache_gb", "max_bad_frac"),
)


def with_inherited(arguments: Sequence[str], conf: Path) -> tuple[list[str], str | None]:
    """The arguments with what is taken from the run in `init_from`, and a line that says what was added.

    That is its model, data set and clips, and of a fine-tuning its task. In mode=eval without `init_from` it is the run
    in `run_dir`. What is given stays; with another `model=` or `dataset=` than the run's, nothing of that group is
    taken. A sweep over several runs takes nothing.

    Args:
        conf: the directory of all settings.

    Raises:
        ConfigError: the run does not tell its model or its data set.
    """
    given = {key.lstrip("+~"): value for key, _, value in (argument.partition("=") for argument in arguments)}
    name = "run_dir" if given.get("mode") == "eval" and "init_from" not in given else "init_from"
    if given.get(name, NONE) in (NONE, RANDOM):
        return list(arguments), None
    if {"-m", "--multirun"} & set(arguments) and len(swept(given[name])) > 1:
        return list(arguments), None
    run = read_settings(Path(os.path.expanduser(unquoted(given[name]))))
    if run is None:
        return list(arguments), None
    added = [hydra_setting(key, value) for key, value in _inherited(*run, given, conf).items()]
    if not added:
        return list(arguments), None
    # Before a setting: Hydra takes none behind a flag that stands behind one.
    position = next(i for i, argument in enumerate(arguments) if argument.lstrip("+").startswith(f"{name}="))
    return [*arguments[:position], *added, *arguments[position:]], f"taken from {run[0]}: {' '.join(added)}"


def _inherited(source: Path, config: Mapping[str, Any], given: Mapping[str, str], conf: Path) -> dict[str, Any]:
    """The values of a run by key that are not given and that `finetune.py` would have otherwise."""
    model, dataset = (check(source, f"config.{name}", config.get(name), table()) for name in ("model", "dataset"))
    preset = check(source, "config.model.preset", model.get("preset"), text())
    check_choice(f"{source}: model preset", preset, PRESETS)
    group = _dataset_group(dataset, conf)
    if group is None and "dataset" not in given:
        raise ConfigError(f"{source} does not tell what kind of data set its {dataset.get('name')!r} is: give dataset=")
    values: dict[str, Any] = {}
    if given.get("model", preset) == preset:
        values |= {"model": preset} | {f"model.{name}": model.get(name) for name in _SIZES}
    if given.get("dataset", group) == group:
        values |= {"dataset": group} | {f"dataset.{name}": value for name, value in dataset.items()}
        read = check(source, "config.data", config.get("data"), table())
        values |= {f"data.{name}": read[name] for name in _FILES if name in read}
    if (task := config.get("task")) is not None:  # of a fine-tuning
        check_choice(f"{source}: task", task, TASKS)
        values["task"] = task
    usual = _composed(conf, *(f"{name}={values[name]}" for name in ("model", "dataset") if name in values))
    return {
        key: value
        for key, value in values.items()
        if key not in given and ("." not in key or OmegaConf.select(usual, key) != value)
    }


def _dataset_group(dataset: Mapping[str, Any], conf: Path) -> str | None:
    """The option of `dataset=` that a run had: the one of that name, or else of the kind that has these settings."""
    name = dataset.get("name")
    kinds = [kind for kind in DATASET_KINDS if dataset.keys() == _settings(kind)]
    if name in {path.stem for path in (conf / "dataset").glob("[!_]*.yaml")}:
        kind = _composed(conf, f"dataset={name}").dataset.kind
        if kind in kinds or (not kinds and dataset.keys() <= _settings(kind)):  # earlier versions had fewer
            return str(name)
    return kinds[0] if len(kinds) == 1 else None


def _settings(kind: str) -> set[str]:
    return {field.name for field in fields(DATASET_KINDS[kind])}


def _composed(conf: Path, *settings: str) -> DictConfig:
    """What `finetune.py` would be told with these settings alone."""
    return composed_settings(conf / "finetune", "finetune", settings, conf)
