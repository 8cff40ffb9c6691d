"""The arguments of a command that is not Hydra's: `key=value` as a dataclass, or those of `argparse`."""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, NoReturn, TypeVar

from omegaconf import OmegaConf

from mae.cli.typed import checked_values
from mae.errors import ConfigError, check_choice

Arguments = TypeVar("Arguments", bound=Any)


def command_config(cls: type[Arguments], arguments: Sequence[str]) -> Arguments:
    """The `key=value` arguments of a `python -m mae.…` command as the dataclass `cls`, its defaults filled in.

    Raises:
        ConfigError: an unknown key, a missing one, or a value of the wrong type.
    """
    for argument in arguments:
        if "=" not in argument:
            raise ConfigError(f"{argument!r} is not of the form key=value; {_usage(cls)}")
    # By hand: file names must not be taken for YAML.
    given = {key: None if value == "null" else value for key, _, value in (a.partition("=") for a in arguments)}
    for key in given:
        check_choice("argument", key, [field.name for field in fields(cls)])
    for field in fields(cls):
        if field.default is MISSING and field.name not in given:
            raise ConfigError(f"{field.name}= is missing; {_usage(cls)}")
    filled = {field.name: given.get(field.name, field.default) for field in fields(cls)}
    return cls(**checked_values(cls, OmegaConf.create(filled)))


def _usage(cls: type) -> str:
    shown = [f"{f.name}=…" if f.default is MISSING else f"[{f.name}=…]" for f in fields(cls)]
    return f"arguments: {' '.join(shown)}"


class Parser(argparse.ArgumentParser):
    """A parser for which a mistake is a `ConfigError`, one line as in every command."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")
