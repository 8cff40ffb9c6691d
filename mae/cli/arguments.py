"""The arguments of a command that is not Hydra's: `key=value` as a dataclass, or those of `argparse`."""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, NoReturn, TypeVar

from mae.cli.quoting import NONE, unquoted
from mae.cli.typed import checked_values, text_settings
from mae.errors import ConfigError, check_choice

Arguments = TypeVar("Arguments", bound=Any)


def command_config(cls: type[Arguments], arguments: Sequence[str]) -> Arguments:
    """The `key=value` arguments of a `python -m mae.…` command as the dataclass `cls`, its defaults filled in.

    Text is taken as typed, see `mae.cli.quoting`; `null` means none.

    Raises:
        ConfigError: an unknown key, a missing one, or a value of the wrong type.
    """
    for argument in arguments:
        if "=" not in argument:
            raise ConfigError(f"{argument!r} is not of the form key=value; {_usage(cls)}")
    # By hand: file names must not be taken for YAML.
    given = {key: value for key, _, value in (argument.partition("=") for argument in arguments)}
    for key in given:
        check_choice("argument", key, [field.name for field in fields(cls)])
    for field in fields(cls):
        if field.default is MISSING and field.name not in given:
            raise ConfigError(f"{field.name}= is missing; {_usage(cls)}")
    texts = text_settings(cls)
    filled = {field.name: field.default for field in fields(cls)}
    for key, value in given.items():
        filled[key] = None if value == NONE and texts.get(key, True) else unquoted(value)
    return cls(**checked_values(cls, filled))


def _usage(cls: type) -> str:
    shown = [f"{f.name}=…" if f.default is MISSING else f"[{f.name}=…]" for f in fields(cls)]
    return f"arguments: {' '.join(shown)}"


class Parser(argparse.ArgumentParser):
    """A parser for which a mistake is a `ConfigError`, one line as in every command."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")
