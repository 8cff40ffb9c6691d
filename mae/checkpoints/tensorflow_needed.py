"""TensorFlow where its own files or data sets are made, and a clear word where it is not installed."""

from typing import Any

from mae.cli.commands import to_install
from mae.errors import ConfigError


def tensorflow_for(what: str) -> Any:
    """The module `tensorflow`.

    Args:
        what: is done with it, for the message, as "writing a SavedModel".

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import tensorflow
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise ConfigError(f"{what} needs TensorFlow, which is not installed: {to_install('tensorflow')}") from error
    return tensorflow
