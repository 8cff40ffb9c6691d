"""Where a list's files are: from what a user wrote to absolute paths that exist."""

import os
from pathlib import Path

from mae.errors import ConfigError


def absolute(path: str | Path) -> Path:
    """The path from the root, `~` filled in; the file need not exist."""
    # Path.expanduser raises for the home of nobody, which is a file name like any other.
    return Path(os.path.expanduser(path)).absolute()


def existing_directory(path: str | Path, option: str = "dataset.root=") -> Path:
    """The absolute path of a directory of videos; raises `ConfigError`, naming the option, where there is none."""
    directory = absolute(path)
    if not directory.is_dir():
        raise ConfigError(f"{option}{path} is not a directory; give the folder that holds the videos")
    return directory


def find_file(option: str, value: str, root: str | None) -> Path:
    """The file of an option, relative to the root or to the working directory.

    Raises:
        ConfigError: it is in neither.
    """
    tried = [absolute(value)]
    if root is not None:
        tried.insert(0, existing_directory(root) / os.path.expanduser(value))
    for path in dict.fromkeys(tried):
        if path.is_file():
            return path
    hint = "; dataset.root is not set, which is looked in as well" if root is None else ""
    places = " nor ".join(str(path) for path in dict.fromkeys(tried))
    raise ConfigError(f"{option}={value}: there is no file {places}{hint}")
