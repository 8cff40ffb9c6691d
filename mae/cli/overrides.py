"""The `group=option` and `key=value` arguments of Hydra's commands: mistakes are found before Hydra finds them."""

import argparse
import difflib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

from hydra import compose
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.version import VersionBase, setbase
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mae.cli.quoting import NONE, quoted, swept, unquoted
from mae.errors import ConfigError, one_line, unknown_name

# Every setting. In a clone mae/conf is a link to conf/, which a wheel holds in its place.
CONF = (Path(__file__).parents[1] / "conf").resolve()

_HELP = ("help", "hydra_help", "info")  # Hydra's flags that need no right settings
_SHELLS = ("bash", "zsh", "fish")
_FUNCTION = re.compile(r"(?P<name>choice|range|interval|glob|shuffle|sort|tag)\((?P<inside>.*)\)", re.DOTALL)
_MOST_CHECKED = 200  # combinations of a sweep that are composed beforehand, of some 0.1 s each


@cache
def share_groups(config_dir: Path) -> None:
    """Lets Hydra look for groups in `config_dir` as well, after the command's own directory; once for this process."""

    class SharedGroups(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            search_path.append(provider="mae", path=f"file://{config_dir.resolve()}")

    Plugins.instance().register(SharedGroups)


def quote_texts(arguments: Sequence[str], texts: Mapping[str, bool]) -> list[str]:
    """The arguments with every text in Hydra's quotes, so that Hydra takes it as typed: see `mae.cli.quoting`.

    In a sweep, commas separate the texts, also inside `choice()`, and Hydra's other functions stay what they are.
    `${…}` refers to other settings, in quotes too.

    Args:
        texts: the settings that are text, and whether each may be none, which is written `null`.
    """
    is_sweep = _is_sweep(arguments)
    return [_quote_text(argument, texts, is_sweep) for argument in arguments]


def _quote_text(argument: str, texts: Mapping[str, bool], is_sweep: bool) -> str:
    key, equals, value = argument.partition("=")
    name = key.lstrip("+")
    if not equals or name not in texts:
        return argument

    def quote(text: str) -> str:
        return text if text == NONE and texts[name] else quoted(unquoted(text))

    if not is_sweep:
        return f"{key}={quote(value)}"
    function = _FUNCTION.fullmatch(value)
    if function is not None and function["name"] != "choice":
        return argument
    # Hydra keeps the quotes of what commas separate, and drops those inside `choice()`.
    texts_of_sweep = swept(value if function is None else function["inside"])
    return f"{key}={','.join(map(quote, texts_of_sweep))}"


def _is_sweep(arguments: Sequence[str]) -> bool:
    return bool({"-m", "--multirun"} & set(arguments)) or "hydra.mode=MULTIRUN" in arguments


def check_overrides(
    config_dir: Path,
    config_name: str,
    arguments: Sequence[str],
    shared_dir: Path | None = None,
    typed: Callable[[DictConfig], object] | None = None,
) -> None:
    """Composes once to find mistakes that Hydra itself would report over many lines.

    The runs of a sweep are composed and checked as well, before the first of them begins.

    Args:
        arguments: their texts in quotes, see `quote_texts`.
        shared_dir: where else groups are, see `share_groups`.
        typed: what else finds mistakes in what is composed; a run that is none of a sweep does that itself.

    Raises:
        ConfigError: an unknown key, option or flag, with the nearest one; a value that cannot be parsed.
    """
    with composing(config_dir, config_name, arguments, shared_dir) as place:
        flags = place.flags
        if any(getattr(flags, name) for name in _HELP):
            return
        if flags.shell_completion:
            _check_completion(flags.overrides)
            return
        overrides = [_parsed(argument) for argument in flags.overrides]
        is_sweep = _is_sweep(arguments)
        for combination in itertools.islice(_combinations(overrides), _MOST_CHECKED) if is_sweep else [flags.overrides]:
            composed = place.composed(combination)
            if is_sweep and typed is not None:
                typed(composed)


def composed_settings(
    config_dir: Path, config_name: str, arguments: Sequence[str], shared_dir: Path | None = None
) -> DictConfig:
    """What a command with these arguments runs with, where it is one run.

    Args and errors: as of `check_overrides`.
    """
    with composing(config_dir, config_name, arguments, shared_dir) as place:
        for argument in place.flags.overrides:
            _parsed(argument)
        return place.composed(place.flags.overrides)


@dataclass(frozen=True)
class Place:
    """Where the settings of a command are, and what its flags say."""

    flags: argparse.Namespace
    config_name: str
    directories: tuple[Path, ...]  # what is in an earlier one wins

    def composed(self, settings: list[str]) -> DictConfig:
        """What these make of what is there; raises `ConfigError` for an unknown key or option, with the nearest one."""
        try:
            return compose(self.config_name, overrides=settings)
        except (HydraException, OmegaConfBaseException) as error:
            raise _explained(error, self.directories, self.config_name, settings) from error


@contextmanager
def composing(
    config_dir: Path, config_name: str, arguments: Sequence[str], shared_dir: Path | None = None
) -> Iterator[Place]:
    """Has Hydra's `compose` look where the command with these arguments does, in a `--config-dir` of the user first.

    What else uses Hydra in this process finds it as it was.

    Args: as of `check_overrides`, which also says what is raised.
    """
    searched = (config_dir,) if shared_dir is None else (config_dir, shared_dir)
    theirs, version = GlobalHydra.instance().hydra, VersionBase.instance().version_base
    try:
        setbase("1.3")
        _search(searched)
        flags = _flags(arguments, searched, config_name)
        if flags.config_dir is not None:
            own = Path(flags.config_dir).absolute()
            if not own.is_dir():
                raise ConfigError(f"--config-dir {flags.config_dir} is not a folder")
            searched = (own, *searched)
            _search(searched)
        yield Place(flags, flags.config_name or config_name, searched)
    finally:
        GlobalHydra.instance().hydra = theirs
        VersionBase.instance().version_base = version


def _search(directories: Sequence[Path]) -> None:
    """Has Hydra's `compose` look in these, one after the other."""
    *first, last = (directory.resolve() for directory in directories)
    path = create_config_search_path(str(last))
    for directory in reversed(first):
        path.prepend("mae", f"file://{directory}")
    GlobalHydra.instance().clear()
    Hydra.create_main_hydra2("app", path)


class _Mistake(Exception):
    """What a parser of flags finds."""


def _flags(arguments: Sequence[str], config_dirs: Sequence[Path], config_name: str) -> argparse.Namespace:
    """Hydra's flags and, as `overrides`, the settings; raises `ConfigError` for other flags."""
    parser = get_args_parser()

    def fail(message: str) -> NoReturn:
        raise _Mistake(message)

    parser.error = fail
    try:
        flags, others = parser.parse_known_args(list(arguments))
    except _Mistake as error:
        raise ConfigError(f"{' '.join(arguments)}: {error}; see --help") from error
    if not others:
        return flags
    name, equals, value = others[0].lstrip("-").partition("=")
    if not others[0].startswith("-"):
        raise ConfigError(f"{others[0]!r} stands behind a flag: settings are written side by side, and flags first")
    known = [flag.lstrip("-") for action in parser._actions for flag in action.option_strings if flag[:2] == "--"]
    keys = _known_keys(config_dirs, config_name)
    near = difflib.get_close_matches(name, [*keys, *known], n=1, cutoff=0.5)
    hint = "settings are written without dashes, as seed=1"
    if near:
        right = f"{near[0]}={value or '…'}" if near[0] in keys else f"--{near[0]}"
        hint = f"did you mean {right!r}?"
    raise ConfigError(f"there is no flag --{name}{equals}{value}: {hint}")


def _check_completion(settings: Sequence[str]) -> None:
    """Raises `ConfigError` unless Hydra's `--shell-completion` is told what it needs."""
    wanted = [f"{what}={shell}" for what in ("install", "uninstall", "query") for shell in _SHELLS]
    if len(settings) != 1 or settings[0] not in wanted:
        raise ConfigError(f"--shell-completion needs one of {', '.join(wanted)}")


def first_of_sweep(overrides: Sequence[str]) -> list[str]:
    """The settings of the first run; they are as they stand where nothing is swept."""
    return next(_combinations([_parsed(override) for override in overrides]))


def _combinations(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """The first values of all that is swept, and then each other value of one beside the first ones of the others."""
    values = [list(_values(override)) for override in overrides]
    first = [of_one[0] for of_one in values]
    yield first
    for index, of_one in enumerate(values):
        for value in of_one[1:]:
            yield [*first[:index], value, *first[index + 1 :]]


def _values(override: Override) -> Iterator[str]:
    """The arguments that one of a sweep stands for."""
    if not override.is_sweep_override() or isinstance(override.value(), Glob):  # what matches only Hydra knows
        yield override.input_line or ""
        return
    for value in override.sweep_string_iterator():
        yield f"{override.get_key_element()}={value}"


def _parsed(argument: str) -> Override:
    """The argument as Hydra reads it; raises `ConfigError` where its grammar does not take it."""
    if "=" not in argument and not argument.startswith("~"):
        raise ConfigError(f"{argument!r} is not of the form key=value")
    try:
        return OverridesParser.create().parse_override(argument)
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
    options, keys = groups(config_dirs), _known_keys(config_dirs, config_name)
    for argument in arguments:
        key, _, value = argument.lstrip("+~").partition("=")
        if options.get(key) and value not in options[key] and re.fullmatch(r"[\w-]+", value):
            return unknown_name(f"{key}=", value, options[key])
        if not any(known == key or known.startswith(f"{key}.") for known in keys):
            return unknown_name("config key", key, keys)
    return ConfigError(f"{' '.join(arguments)}: {one_line(error)}")


def groups(config_dirs: Sequence[Path]) -> dict[str, list[str]]:
    """The options of each group."""
    return {
        path.name: [option.stem for option in sorted(path.glob("[!_]*.yaml"))]
        for config_dir in reversed(config_dirs)  # what is in an earlier one wins
        for path in sorted(config_dir.iterdir())
        if path.is_dir() and not (path / f"{path.name}.yaml").exists()  # the directory of another command
    }


def _known_keys(config_dirs: Sequence[Path], config_name: str) -> list[str]:
    """What may stand before a `=`, but for what the chosen groups add."""
    return sorted({*_keys(compose(config_name)), *(name for name, names in groups(config_dirs).items() if names)})


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in node:
        name = f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            yield from _keys(child, f"{name}.")
        else:
            yield name
