"""What every command shares: from a command line to a config, from an error to an exit status."""

import io
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mae.config import checked_values
from mae.errors import ConfigError, Interrupted, TrainingStopped, check_choice, unknown_name

# Information and warnings; and that there is no GPU where none is built in, which `devices` in the run's table says.
_NO_DRIVER = "" if Path("/dev/nvidiactl").exists() else "|E0000 .*cuInit"
_STARTUP_NOISE = re.compile(rf"[IW]0000 |WARNING: All log messages before absl{_NO_DRIVER}")

EXIT_MISTAKE = 2
EXIT_STOPPED = 3
EXIT_SIGNAL = 128

Arguments = TypeVar("Arguments", bound=Any)


@contextmanager
def exit_statuses() -> Iterator[None]:
    """Turns the errors of `mae.errors` into one line on stderr and the exit status of their kind.

    A SIGTERM outside the training loop, which has its own handling, ends the command the same way.
    """
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except ConfigError as error:
        _leave(f"error: {_one_line(error)}", EXIT_MISTAKE)
    except TrainingStopped as error:
        _leave(f"stopped: {_one_line(error)}", EXIT_STOPPED)
    except Interrupted as error:
        _leave(_one_line(error), EXIT_SIGNAL + error.signum)
    except KeyboardInterrupt:
        _leave("interrupted; what was saved before is complete", EXIT_SIGNAL + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminate(signum: int, _frame: FrameType | None) -> None:
    raise Interrupted(signum, "terminated; what was saved before is complete")


def quiet_libraries() -> None:
    """Keeps start-up messages of TensorFlow and per-file messages of FFmpeg off the console.

    Called by commands before either library is imported, never on import of the package. Levels that the user set
    in the environment stay.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name may hold what the console cannot show
    # What is wrong with a file, we say ourselves.
    if "OPENCV_LOG_LEVEL" not in os.environ:
        os.environ["OPENCV_LOG_LEVEL"] = "ERROR"
        if "cv2" in sys.modules:  # which read its environment when it was imported
            cv2_logging = sys.modules["cv2"].utils.logging
            cv2_logging.setLogLevel(cv2_logging.LOG_LEVEL_ERROR)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET


def import_tensorflow() -> None:
    """Imports TensorFlow and finds its devices without the lines it logs before its own log level is in force.

    They go straight to the process' stderr, so that is what is caught; every other line is passed on.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            lines = caught.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.writelines(line for line in lines if not _STARTUP_NOISE.match(line))


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
    return ConfigError(f"{' '.join(arguments)}: {_one_line(error)}")


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in node:
        name = f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            yield from _keys(child, f"{name}.")
        else:
            yield name


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _leave(message: str, status: int) -> None:
    print(message, file=sys.stderr, flush=True)
    sys.exit(status)
