"""Where a list's files are: from what a user wrote to absolute paths that exist, or to addresses."""

import os
from pathlib import Path

from mae.data.remote.address import at_address, is_remote
from mae.errors import ConfigError
from mae.files import native_name

Place = Path | str  # a path of this machine, or an address


def absolute(path: str | Path) -> Path:
    """The path from the root, `~` filled in; the file need not exist."""
    # Path.expanduser raises for the home of nobody, which is a file name like any other.
    return Path(os.path.expanduser(path)).absolute()


def absolute_place(path: str | Path) -> Place:
    """As `absolute`; an address is one already."""
    return str(path) if is_remote(path) else absolute(path)


def located(base: str, path: str) -> str:
    """The absolute path of a file, or its address, that a list writes without what `plain` takes out.

    Args:
        base: the folder or the address that it may be relative to.
    """
    if is_remote(path):
        return path
    if is_remote(base) and not os.path.isabs(path):
        return at_address(base, path)
    return os.path.join(base, native_name(path))


def plain(base: Place, path: str) -> str:
    """A path of a list as `located` takes it: `~` filled in, without steps that lead nowhere, as `./`."""
    return path if is_remote(path) or is_remote(base) else str(Path(os.path.expanduser(path)))


def existing_directory(path: str | Path, option: str = "dataset.root=") -> Path:
    """The absolute path of a directory of videos; raises `ConfigError`, naming the option, where there is none."""
    directory = absolute(path)
    if not directory.is_dir():
        raise ConfigError(f"{option}{path} is not a directory; give the folder that holds the videos")
    return directory


def existing_base(path: str | Path, option: str = "dataset.root=") -> Place:
    """As `existing_directory` where an address will do, which is not looked for."""
    return str(path) if is_remote(path) else existing_directory(path, option)


def find_file(option: str, value: str, root: str | None) -> Place:
    """The file of an option, relative to the root or to the working directory; an address is taken as it is.

    Raises:
        ConfigError: it is in neither.
    """
    if is_remote(value):
        return value
    tried = [absolute(value)]
    if root is not None and is_remote(root) and not tried[0].is_file():
        return at_address(root, value)
    if root is not None and not is_remote(root):
        tried.insert(0, existing_directory(root) / os.path.expanduser(value))
    for path in dict.fromkeys(tried):
        if path.is_file():
            return path
    hint = "; dataset.root is not set, which is looked in as well" if root is None else ""
    places = " nor ".join(str(path) for path in dict.fromkeys(tried))
    raise ConfigError(f"{option}={value}: there is no file {places}{hint}")
