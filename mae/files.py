"""Files on the disk: written whole or not at all, known by their checksums, and the folder of the user's caches."""

import hashlib
import os
import re
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from mae.errors import ConfigError

_CACHE = "mae-video"
_CHUNK = 1 << 24  # bytes
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9]+\.tmp(\.[^.]+)?")  # see `_temporary`


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """The name of a file to write; once the block ends well it is synced and takes the place of `path`.

    When the block raises, what was written is removed and an earlier file at `path` stays as it was. Missing parent
    folders are made. The name ends as that of `path`, for writers that choose a format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        if temporary.stat().st_mode != mode:  # some writers make files that only their owner can read
            temporary.chmod(mode)
        _sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


@contextmanager
def creating(path: Path) -> Iterator[Path]:
    """As `replacing`, for a file or a folder that is not there yet.

    Raises:
        ConfigError: `path` exists already, or its folder does not.
    """
    if path.exists():
        raise ConfigError(f"{path} exists already: give another name, or remove it")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}")
    temporary = _temporary(path)
    try:
        yield temporary
        for written in (*(temporary.rglob("*") if temporary.is_dir() else ()), temporary):
            _sync(written)
        temporary.rename(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)
    _sync(path.parent)


def abandoned(folder: Path, names: str = ".*", among: Container[str] | None = None) -> list[Path]:
    """What processes that were killed within `replacing` left in a folder; those at work look the same.

    Args:
        names: regular expression of the files that were to be replaced.
        among: their names; None: any.
    """
    if not folder.is_dir():
        return []
    matches = ((path, _TEMPORARY.fullmatch(path.name)) for path in folder.iterdir())
    found = [(path, match["name"]) for path, match in matches if match and re.fullmatch(names, match["name"])]
    return [path for path, name in found if among is None or name in among]


def read_utf8(path: Path, what: str = "") -> str:
    """The text of a file, without the mark that some editors begin it with.

    Raises:
        ConfigError: it cannot be read, or is no UTF-8; `what` is what the message calls it, as `the list `.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{what}{path} cannot be read ({error.strerror})") from error


def utf8_name(path: str) -> str:
    """A path in the characters that its bytes are in UTF-8, also where the locale knows only ASCII.

    Raises:
        ValueError: its bytes are no UTF-8.
    """
    return os.fsencode(path).decode("utf-8")


def native_name(text: str) -> str:
    """A path from a file in UTF-8 as this process has to spell it, which differs where the locale knows only ASCII."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def sha256(*paths: str | Path) -> str:
    """The checksum, in hexadecimal, of a file; of several, that of their contents one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def checksums(path: Path) -> list[str]:
    """SHA-256 of a file, or of each file of a folder or checkpoint with its name."""
    if path.is_file():
        return [sha256(path)]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    else:
        files = sorted(path.parent.glob(f"{path.name}.*"))
    return [f"{sha256(file)}  {file.name}" for file in files]


def cache_directory() -> Path:
    """The folder, there or not, for what can be made again: below `XDG_CACHE_HOME`, else where the system has such."""
    named = os.environ.get("XDG_CACHE_HOME")
    # By hand: not every release of platformdirs takes one that is relative or begins with ~.
    return Path(named).expanduser().absolute() / _CACHE if named else user_cache_path(_CACHE, appauthor=False)


def _temporary(path: Path) -> Path:
    """The name under which this process writes what will be `path`; hidden, so that nothing takes it for a video."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")


def _sync(path: Path) -> None:
    """Has the system write a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
