"""The `group=option` and `key=value` arguments of Hydra's commands: mistakes are found before Hydra finds them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mae.errors import ConfigError, one_line, unknown_name


def share_groups(config_dir: Path) -> None:
    """Lets Hydra look for groups in `config_dir` as well, after the command's own directory; for this process."""

    class SharedGroups(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            search_path.append(provider="mae", path=f"file://{config_dir.resolve()}")

    Plugins.instance().register(SharedGroups)


def check_overrides(
    config_dir: Path, config_name: str, arguments: Sequence[str], shared_dir: Path | None = None
) -> None:
    """Composes once to find mistakes that Hydra itself would report over many lines.

    Flags are Hydra's own business, and with them sweeps (`-m`).

    Args:
        shared_dir: where else groups are, see `share_groups`.

    Raises:
        ConfigError: an unknown key or option, with the nearest one; a value that cannot be parsed.
    """
    if {"-m", "--multirun"} & set(arguments):
        return
    if any(argument.startswith("-") for argument in arguments):
        arguments = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    for argument in arguments:
        if "=" not in argument:
            raise ConfigError(f"{argument!r} is not of the form key=value")
        _check_syntax(argument)
    with initialize_config_dir(str(config_dir.resolve()), version_base="1.3"):
        try:
            compose(config_name, overrides=list(arguments))
        except (HydraException, OmegaConfBaseException) as error:
            directories = (config_dir,) if shared_dir is None else (shared_dir, config_dir)
            raise _explained(error, directories, config_name, arguments) from error


def _check_syntax(argument: str) -> None:
    """Raises `ConfigError` for an argument that Hydra's grammar does not take, and says how to write it."""
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException as error:
        key, _, value = argument.partition("=")
        raise ConfigError(
            f"{argument!r} cannot be read as key=value; a value with blanks, brackets, ~ or other signs is quoted "
            f"twice: {key}='\"{value}\"'"
        ) from error


def _explained(
    error: Exception, config_dirs: Sequence[Path], config_name: str, arguments: Sequence[str]
) -> ConfigError:
    """Hydra's error as one line that names the nearest valid word."""
    groups = {
        path.name: [option.stem for option in sorted(path.glob("[!_]*.yaml"))]
        for config_dir in config_dirs
        for path in config_dir.iterdir()
        if not (path / f"{path.name}.yaml").exists()  # the directory of another command
    }
    keys = sorted({*_keys(compose(config_name)), *(name for name, options in groups.items() if options)})
    for argument in arguments:
        key, _, value = argument.lstrip("+~").partition("=")
        if groups.get(key) and value not in groups[key] and re.fullmatch(r"[\w-]+", value):
            return unknown_name(f"{key}=", value, groups[key])
        if not any(known == key or known.startswith(f"{key}.") for known in keys):
            return unknown_name("config key", key, keys)
    return ConfigError(f"{' '.join(arguments)}: {one_line(error)}")


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in node:
        name = f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            yield from _keys(child, f"{name}.")
        else:
            yield name
