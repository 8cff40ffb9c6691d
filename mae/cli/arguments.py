"""The arguments of a command that is not Hydra's: `key=value` as a dataclass."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, get_args, get_origin

from mae.cli.quoting import NONE, swept, unquoted
from mae.cli.typed import checked_values, takes_one_or_several, text_settings
from mae.errors import ConfigError, check_choice

Arguments = TypeVar("Arguments", bound=Any)


def command_config(cls: type[Arguments], arguments: Sequence[str], in_front: Sequence[str] = ()) -> Arguments:
    """The `key=value` arguments of a command as the dataclass `cls`, its defaults filled in.

    Text is taken as typed, see `mae.cli.quoting`; `null` means none. A list is `[a,b]`, or one value alone.

    Args:
        in_front: the keys that need not be typed, in the order of their values: `IN OUT to=pytorch`. Such a list takes
            every value without a key.

    Raises:
        ConfigError: an unknown key, a missing one, or a value of the wrong type.
    """
    named = {field.name: field for field in fields(cls)}
    texts = text_settings(cls)
    filled = {name: default for name, field in named.items() if (default := _default(field)) is not MISSING}
    lists: dict[str, list[str]] = {}
    for key, value, is_named in _pairs(named, arguments, in_front):
        if _is_list(named[key]):
            lists[key] = [*lists.get(key, []), *(_listed(value) if is_named else [value])]
        elif takes_one_or_several(named[key]) and value[:1] == "[":
            filled[key] = _listed(value)
        else:
            filled[key] = None if value == NONE and texts.get(key, True) else unquoted(value)
    filled |= {key: [unquoted(value) for value in values] for key, values in lists.items()}
    for name in named:
        if name not in filled:
            raise ConfigError(f"{name}= is missing; {_usage(named, in_front)}")
    return cls(**checked_values(cls, filled))


def _pairs(
    named: Mapping[str, Field[Any]], arguments: Sequence[str], in_front: Sequence[str]
) -> Iterator[tuple[str, str, bool]]:
    """Key, value as it was typed, and whether its key was typed, too."""
    places = list(in_front)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        is_file = bool(places) and key not in named and os.path.exists(os.path.expanduser(argument))
        if argument.startswith("--") and not is_file:
            raise ConfigError(f"there is no flag {key}: settings have no dashes, as {key[2:]}={value or '…'}")
        if equals and not is_file:
            check_choice("argument", key, named)
            yield key, value, True
        elif places:
            yield places[0], argument, False
            if not _is_list(named[places[0]]):
                del places[0]
        else:
            raise ConfigError(f"{argument!r} is not of the form key=value; {_usage(named, in_front)}")


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _is_list(field: Field[Any]) -> bool:
    is_list = any(get_origin(kind) in (list, tuple) for kind in (field.type, *get_args(field.type)))
    return is_list and not takes_one_or_several(field)


def _listed(value: str) -> list[str]:
    return [one for one in swept(value[1:-1]) if one] if value[:1] == "[" and value[-1:] == "]" else [value]


def _usage(named: Mapping[str, Field[Any]], in_front: Sequence[str]) -> str:
    shown = [f"{name}=…" if _default(field) is MISSING else f"[{name}=…]" for name, field in named.items()]
    bare = f" ({', '.join(f'{name}=' for name in in_front)} need not be typed)" if in_front else ""
    return f"arguments: {' '.join(shown)}{bare}"
