"""From composed YAML to frozen dataclasses: the types of their fields are the schema."""

import math
import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, make_dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mae.cli.backend import default_backend
from mae.errors import ConfigError, check_choice

_RESOLVING = f"{ConfigError.__name__} raised while resolving interpolation: "  # before what a resolver of ours says

PATH = {"path": True}  # metadata of a field that names a file or a folder: `~` is filled in


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


def text_settings(
    cls: type, sections: Mapping[str, type] | None = None, choices: Mapping[str, Choice] | None = None
) -> dict[str, bool]:
    """The settings that are text, by the names that a user gives them, and whether each may be none (`null`).

    Args: as of `checked_sections`; whatever is chosen counts.
    """
    owners = [("", cls), *((f"{name}.", section) for name, section in (sections or {}).items())]
    for name, choice in (choices or {}).items():
        owners += [(f"{name}.", option) for option in choice.options.values()]
    return {
        f"{prefix}{field.name}": NoneType in get_args(field.type)
        for prefix, owner in owners
        for field in fields(owner)
        if _is_text(field)
    }


def _is_text(field: Field[Any]) -> bool:
    kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
    return set(kinds) - {NoneType} == {str}


def _are_texts(field: Field[Any]) -> bool:
    return any(kind == list[str] for kind in (field.type, *get_args(field.type)))


def takes_one_or_several(field: Field[Any]) -> bool:
    """Whether a field is a number or a list of them, as the size of a picture is."""
    kinds = set(get_args(field.type)) - {NoneType}
    return len(kinds) > 1 and any(get_origin(kind) in (list, tuple) for kind in kinds)


def _type_for(field: Field[Any], node: DictConfig | Mapping[str, Any]) -> Any:
    """The type of a field; of one that takes a number or several that of what it is given: OmegaConf has no union."""
    if not takes_one_or_several(field):
        return field.type
    several = isinstance(node.get(field.name), list | tuple | ListConfig)
    (kind,) = (kind for kind in get_args(field.type) if kind is not NoneType and bool(get_origin(kind)) == several)
    return kind | None if NoneType in get_args(field.type) else kind


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


def checked_values(
    cls: type, node: DictConfig | Mapping[str, Any], prefix: str = "", elsewhere: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The values of one flat section of the config, converted to the types of the fields of `cls`.

    A text stays as it is, whatever it holds, but for the `~` that a path begins with.

    Args:
        prefix: what stands before its keys where a user gives them, as `data.`.
        elsewhere: keys and fields that others see to.

    Raises:
        ConfigError: an unknown key, with the nearest one; a value of the wrong type, or one that is not a number.
    """
    typed = {field.name: field for field in fields(cls) if field.name not in elsewhere}
    types = {name: _type_for(field, node) for name, field in typed.items()}
    schema = OmegaConf.structured(make_dataclass(cls.__name__, types.items()))
    for key in node:
        if key not in elsewhere:
            check_choice("config key", f"{prefix}{key}", [prefix + name for name in types])
    values = {}
    for name, field in typed.items():
        if get_origin(field.type) is list and isinstance(node[name], str):
            raise ConfigError(
                f"{prefix}{name}={node[name]} is not a list: give '{prefix}{name}=[{node[name]}]', with the quotes"
            )
        try:
            value = node[name]
            # Not through the schema, which would take `${` for a reference once more.
            if not (_is_text(field) and isinstance(value, str)) and not (_are_texts(field) and isinstance(value, list)):
                schema[name] = value
                value = [*schema[name]] if isinstance(value, list) else schema[name]
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            of_ours = reason.removeprefix(_RESOLVING)
            raise ConfigError(of_ours if of_ours != reason else f"{prefix}{name}: {reason}") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{prefix}{name}={value} is not a number")
        if field.metadata == PATH and value is not None:
            value = [*map(os.path.expanduser, value)] if isinstance(value, list) else os.path.expanduser(value)
        values[name] = value
    return values
