"""Which backend Keras computes with: decided before Keras is imported, and said to it in `KERAS_BACKEND`."""

import importlib.util
import os
import sys
from collections.abc import Callable, MutableMapping

from mae.cli.commands import to_install
from mae.cli.quiet import import_tensorflow
from mae.errors import ConfigError, check_choice
from mae.options import BACKENDS

_VARIABLE = "KERAS_BACKEND"


def _is_installed(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None


def _loaded_backend() -> str | None:
    """What Keras computes with in this process, for as long as that lasts; None: it is not imported yet."""
    keras = sys.modules.get("keras")
    return None if keras is None else str(keras.config.backend())


def default_backend(
    environment: MutableMapping[str, str] = os.environ,
    is_installed: Callable[[str], bool] = _is_installed,
    loaded_backend: Callable[[], str | None] = _loaded_backend,
) -> str:
    """That of a Keras that is imported; else what `KERAS_BACKEND` says; else TensorFlow, unless JAX alone is installed.

    Raises:
        ConfigError: that is another one.
    """
    loaded = loaded_backend()
    if loaded is not None:
        check_choice("the backend of Keras in this process,", loaded, BACKENDS)
        return loaded
    named = environment.get(_VARIABLE)
    if named:
        check_choice(f"{_VARIABLE}=", named, BACKENDS)
        return named
    return "jax" if is_installed("jax") and not is_installed("tensorflow") else "tensorflow"


def load_backend(
    name: str | None = None,
    environment: MutableMapping[str, str] = os.environ,
    is_installed: Callable[[str], bool] = _is_installed,
    loaded_backend: Callable[[], str | None] = _loaded_backend,
) -> None:
    """Makes Keras compute with a backend; imports that backend, without the lines it logs, but not Keras.

    Args:
        name: in `mae.options.BACKENDS`; None: `default_backend`.

    Raises:
        ConfigError: no such backend, one that is not installed, or another one than `KERAS_BACKEND` says, or than
            a Keras that is imported has.
    """
    name = name or default_backend(environment, is_installed, loaded_backend)
    check_choice("backend", name, BACKENDS)
    loaded = loaded_backend()
    if loaded is not None:
        if loaded != name:
            raise ConfigError(
                f"backend={name}, but Keras computes with {loaded} in this process: give backend={loaded}, or begin "
                f"another process with {_VARIABLE}={name}"
            )
        return
    named = environment.get(_VARIABLE) or name
    if named != name:
        raise ConfigError(f"backend={name}, but {_VARIABLE}={named} in the environment: give one of them, or the same")
    if not is_installed(name):
        raise ConfigError(f"backend={name} is not installed: {to_install(name)}")
    environment[_VARIABLE] = name
    if name == "tensorflow":
        import_tensorflow()
