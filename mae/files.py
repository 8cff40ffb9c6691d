"""Files on the disk: written whole or not at all, and known by their checksums."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHUNK = 1 << 24  # bytes


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """The name of a file to write; once the block ends well it is synced and takes the place of `path`.

    When the block raises, what was written is removed and an earlier file at `path` stays as it was. Missing parent
    folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # some writers make files that only their owner can read
        _sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def checksums(path: Path) -> list[str]:
    """SHA-256 of a file, or of each file of a folder or checkpoint with its name."""
    if path.is_file():
        return [_sha256(path)]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    else:
        files = sorted(path.parent.glob(f"{path.name}.*"))
    return [f"{_sha256(file)}  {file.name}" for file in files]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Has the system write a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
