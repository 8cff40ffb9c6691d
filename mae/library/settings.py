"""Settings as Python has them, as the words that a command is told."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mae.cli.hydra_command import HydraCommand
from mae.cli.overrides import groups
from mae.cli.quoting import hydra_setting, literal
from mae.errors import ConfigError

Section = str | Mapping[str, Any]  # the name of an option, or settings by their names
_OPTION = {"model": "preset"}  # the setting that a group's option is called by; elsewhere it is `name`
_PLAIN = re.compile(r"[\w./-]*")


def words(
    command: HydraCommand,
    chosen: Mapping[str, Section | None],
    settings: Mapping[str, Any],
    overrides: Sequence[str],
    config_dir: str | Path | None,
) -> list[str]:
    """What a shell would hand to a command for these settings; where they do not say `monitor`, it is none.

    Args:
        command: whose settings they are.
        chosen: groups that have an argument of their own; None: as the others say.
        settings: by name; a section is a mapping.
        overrides: more of them, as a shell hands them over.
        config_dir: a folder with options of one's own.

    Raises:
        ConfigError: overrides that are no settings, or None for what is a text.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"overrides= is a list, as [{overrides!r}]")
    for override in overrides:
        if override.startswith("-"):
            raise ConfigError(f"overrides= takes settings, as 'seed=1', and {override!r} is a flag")
    directories = [command.config_dir, *filter(None, [command.shared_dir])]
    given = {name: section for name, section in chosen.items() if section is not None} | dict(settings)
    found = dict(_settings(given, groups(directories)))
    for key, value in found.items():
        if value is None and command.texts.get(key) is False:
            raise ConfigError(f"{key}=None: it needs a text")
    told = [*(_word(key, value) for key, value in found.items()), *overrides]
    if not any(word.startswith("monitor=") for word in told):
        told.append("monitor=[]")
    return told if config_dir is None else ["--config-dir", str(config_dir), *told]


def _settings(
    given: Mapping[str, Any], options: Mapping[str, Sequence[str]], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Key and value of each setting, and of each in a section.

    Args:
        options: by the name of a group.
    """
    for name, value in given.items():
        key = f"{prefix}{name}"
        if not isinstance(value, Mapping):
            yield key, value
            continue
        section, option = dict(value), _OPTION.get(key, "name")
        if options.get(key) and option in section:
            yield key, section.pop(option)
        yield from _settings(section, options, f"{key}.")


def _word(key: str, value: Any) -> str:
    """`key=value` as a shell hands it over."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str) and not _PLAIN.fullmatch(value):  # so that whatever it holds, its key is looked at
        return f"{key}={literal(value)}"
    return hydra_setting(key, value)
