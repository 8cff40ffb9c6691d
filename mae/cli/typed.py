"""From composed YAML to frozen dataclasses: the types of their fields are the schema."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, make_dataclass
from typing import Any, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mae.cli.backend import default_backend
from mae.errors import ConfigError, check_choice


@dataclass(frozen=True)
class Choice:
    """A section that has a dataclass for each value of one of its keys."""

    key: str
    options: Mapping[str, type]


def register_resolvers() -> None:
    """Makes functions available to the YAML files.

    `${by_preset:{vit_large:512,default:1024}}` is a value by model preset, `${default_backend:}` what its name says.
    """

    def by_preset(table: DictConfig, *, _root_: DictConfig) -> Any:
        return table.get(_root_.model.preset, table["default"])

    OmegaConf.register_new_resolver("by_preset", by_preset, replace=True)
    OmegaConf.register_new_resolver("default_backend", default_backend, replace=True)


def checked_sections(
    cls: type, composed: DictConfig, sections: Mapping[str, type], choices: Mapping[str, Choice]
) -> dict[str, Any]:
    """The values of a whole config: its own, and a dataclass for each section.

    Args:
        sections: name and dataclass.
        choices: of sections that have a dataclass for each choice.

    Raises:
        ConfigError: an unknown key or choice, or a value of the wrong type.
    """
    for name in (*choices, *sections):
        if not isinstance(composed[name], DictConfig):
            raise ConfigError(f"{name}={composed[name]} is not a group of settings; leave it out")
    chosen = {}
    for name, choice in choices.items():
        key = composed[name][choice.key]
        check_choice(f"{name}.{choice.key}", key, choice.options)
        chosen[name] = choice.options[key]
    every = {**chosen, **sections}
    values = checked_values(cls, composed, "", elsewhere=tuple(every))
    for name, section in every.items():
        values[name] = section(**checked_values(section, composed[name], f"{name}.", elsewhere=("kind",)))
    return values


def checked_values(cls: type, node: DictConfig, prefix: str = "", elsewhere: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of one flat section of the config, converted to the types of the fields of `cls`.

    Args:
        prefix: what stands before its keys where a user gives them, as `data.`.
        elsewhere: keys and fields that others see to.

    Raises:
        ConfigError: an unknown key, with the nearest one; a value of the wrong type, or one that is not a number.
    """
    types = {field.name: field.type for field in fields(cls) if field.name not in elsewhere}
    schema = OmegaConf.structured(make_dataclass(cls.__name__, types.items()))
    for key in node:
        if key not in elsewhere:
            check_choice("config key", f"{prefix}{key}", [prefix + name for name in types])
    for name, kind in types.items():
        if get_origin(kind) is list and isinstance(node[name], str):
            raise ConfigError(
                f"{prefix}{name}={node[name]} is not a list: give '{prefix}{name}=[{node[name]}]', with the quotes"
            )
        try:
            schema[name] = node[name]
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"{prefix}{name}: {reason}") from error
        if isinstance(schema[name], float) and not math.isfinite(schema[name]):
            raise ConfigError(f"{prefix}{name}={schema[name]} is not a number")
    return {name: schema[name] for name in types}
