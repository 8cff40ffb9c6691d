"""Settings that a fine-tuning takes from the run that `init_from` names, where its command line does not say them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from mae.cli.quoting import NONE, swept, unquoted
from mae.errors import ConfigError, one_line
from mae.finetuning.config import RANDOM
from mae.training.handed_down import handed_down


def with_inherited(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """The arguments with model, data set and clips of the run in `init_from`, and a line that says what was added.

    A group that is named (`model=`, `dataset=`) is meant as a whole: nothing of it is taken. A sweep over several
    `init_from` takes nothing.

    Raises:
        ConfigError: the run's config cannot be read.
    """
    keys = [argument.partition("=")[0].lstrip("+") for argument in arguments]
    if "init_from" not in keys:
        return list(arguments), None
    position = keys.index("init_from")
    value = arguments[position].partition("=")[2]
    is_sweep = bool({"-m", "--multirun"} & set(arguments))
    path = None if is_sweep and len(swept(value)) > 1 else _config_of(value)
    if path is None:
        return list(arguments), None
    groups = {key for key in keys if key in ("model", "dataset")}
    added = [
        word
        for key, word in handed_down(_read(path)).items()
        if key not in keys and key.partition(".")[0] not in groups
    ]
    # Beside the other settings: Hydra takes none behind a flag that stands behind one.
    both = [*arguments[:position], *added, *arguments[position:]]
    return both, f"taken from {path}: {' '.join(added)}" if added else None


def _config_of(value: str) -> Path | None:
    """The config of the run, or of the run of the checkpoint; None: that is no run of this project."""
    if value in (NONE, RANDOM):
        return None
    source = Path(os.path.expanduser(unquoted(value)))
    folder = source if source.is_dir() else source.parent
    run = folder.parent if folder.name == "checkpoints" else folder
    is_run = (run / "checkpoints").is_dir() and (run / "config.yaml").is_file()
    return run / "config.yaml" if is_run else None


def _read(path: Path) -> dict[str, Any]:
    try:
        config = OmegaConf.load(path)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read ({one_line(error)})") from error
    if any(OmegaConf.select(config, name) is None for name in ("model.preset", "dataset.name")):
        raise ConfigError(f"{path} is no config of a run: it has no model.preset or no dataset.name")
    content: Any = OmegaConf.to_container(config)
    return content
