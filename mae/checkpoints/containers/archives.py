"""Zips straight from a release, unpacked where nothing they contain can do harm."""

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mae.checkpoints.containers.zip_guard import is_link, open_zip
from mae.errors import ConfigError

MAX_TOTAL = 64 << 30  # bytes; the largest released model has 4 GB
_CHUNK = 4 << 20
_DRIVE = re.compile(r"^[A-Za-z]:")


@contextmanager
def unpacked(path: str | Path) -> Iterator[Path]:
    """A temporary folder with the contents of a zip, removed when the block ends.

    Where the zip holds exactly one SavedModel the folder given is the one with its `saved_model.pb`, however many
    folders enclose it; otherwise it is the top.

    Raises:
        ConfigError: missing, damaged (every checksum is verified), encrypted, with names that lead outside, with
            links, or larger than `MAX_TOTAL` or the free space.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory(prefix="mae-zip-") as temporary:
        root = Path(temporary)
        with open_zip(path) as archive:
            _check_room(path, archive, root)
            for member in archive.infolist():
                _unpack(path, archive, member, root)
        models = list(root.rglob("saved_model.pb"))
        yield models[0].parent if len(models) == 1 else root


def _check_room(path: Path, archive: zipfile.ZipFile, root: Path) -> None:
    total = sum(member.file_size for member in archive.infolist())
    if total > MAX_TOTAL:
        raise ConfigError(f"{path} unpacks to {total} bytes, like a zip bomb; expected at most {MAX_TOTAL}")
    if total > (free := shutil.disk_usage(root).free):
        raise ConfigError(
            f"{path} unpacks to {total} bytes; {root.parent} has {free} free (set TMPDIR to another disk)"
        )


def _unpack(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, root: Path) -> None:
    """Writes one file; `zipfile` stops at its declared size and compares its checksum."""
    target = root.joinpath(*_parts(path, member))
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, open(target, "xb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
    if (size := target.stat().st_size) != member.file_size:
        raise zipfile.BadZipFile(f"member {member.filename!r} has {size} of {member.file_size} bytes")


def _parts(path: Path, member: zipfile.ZipInfo) -> tuple[str, ...]:
    """The folders and the name of a member, which cannot lead out of the folder it is unpacked to."""
    # `orig_filename` is what the file says; `filename` is cut at a NUL.
    name = member.orig_filename
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or _DRIVE.match(name):
        raise ConfigError(f"{path}: member {name!r} would be written outside its folder; expected plain relative names")
    if is_link(member):
        raise ConfigError(f"{path}: member {name!r} is a link; expected files and folders only")
    return parts
