"""The libraries of the extra `arrays`, and a clear word where they are not installed."""

from importlib import import_module
from typing import Any

from mae.cli.commands import to_install
from mae.errors import ConfigError


def library_for(what: str, module: str) -> Any:
    """A module of the extra; raises `ConfigError` where it is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ConfigError(f"{what} are read by {module}, which is not installed: {to_install('arrays')}") from error
