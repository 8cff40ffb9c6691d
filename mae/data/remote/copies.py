"""Files at addresses as files of this machine: copies in a folder that is kept below a size.

Several processes may share the folder. A copy is written whole or not at all; while somebody reads it, a lock on it
keeps the others from removing it, which ends with the reader, however it ends.
"""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EDQUOT, ENOSPC, EROFS
from pathlib import Path
from threading import Lock
from typing import Any

from mae.cli.commands import to_install
from mae.data.remote.address import is_remote
from mae.data.videos.time_limit import within
from mae.errors import BadVideo, ConfigError, library_reason
from mae.files import cache_directory, replacing

DEFAULT_GB = 50.0
PAUSES = (0.5, 2.0)  # seconds before a file is asked for again

_GIGABYTE = 10**9
_KEPT = 0.9  # of the size, once copies are removed: not for every new one the folder has to be gone through
_FEW = 0.05  # of the size: what this process may add until it looks how much others have
_ABANDONED_S = 24 * 3600  # age of a copy that nobody writes any more
_FULL = (ENOSPC, EDQUOT, EROFS)
_PARTS = 3  # hexadecimal digits of a name that a lock and a folder are for


class Copies:
    """A folder of copies. Safe between threads and processes.

    Args:
        folder: where they are; None: in the user's cache directory.
        gigabytes: 10⁹ bytes that they may take; those that were read last stay. What is being read is not removed.
        pauses: seconds before a file is asked for again that could not be fetched.
    """

    def __init__(
        self, folder: Path | None = None, gigabytes: float = DEFAULT_GB, pauses: tuple[float, ...] = PAUSES
    ) -> None:
        self._folder = folder
        self._most = gigabytes * _GIGABYTE
        self._pauses = pauses
        self._added: float | None = None  # bytes since the folder was gone through; None: it was not yet
        self._lock = Lock()

    @property
    def folder(self) -> Path:
        """Where the copies are, there or not."""
        return self._folder or cache_directory() / "remote"

    @contextmanager
    def copy(self, address: str, version: str = "", timeout_s: float | None = None) -> Iterator[Path]:
        """The copy of a file, which stays for the block.

        Args:
            address: of the file. One that was copied already is not asked for again.
            version: what tells it from earlier files of the address.
            timeout_s: seconds that fetching it may take; None: any.

        Raises:
            BadVideo: there is no such file, it cannot be fetched, or not in time.
            ConfigError: a library is missing for this kind of address, or the folder cannot be written.
        """
        path, is_new = self._path(address, version), False
        while (held := _hold(path)) is None:
            self._fetch_in_time(address, path, timeout_s)
            is_new = True
        try:
            if is_new:
                self._make_room(os.fstat(held).st_size)
            yield path
        finally:
            os.close(held)

    def _path(self, address: str, version: str) -> Path:
        """The ending is kept: it says what kind of video a file is."""
        name = hashlib.sha256(f"{address}\n{version}".encode("utf-8", "surrogateescape")).hexdigest()
        ending = re.search(r"\.\w{1,8}$", address)
        return self.folder / name[:_PARTS] / f"{name}{ending[0] if ending else ''}"

    def _fetch_in_time(self, address: str, path: Path, timeout_s: float | None) -> None:
        if timeout_s is None:
            self._fetch_in_turn(address, path)
            return
        try:
            within(timeout_s, lambda: self._fetch_in_turn(address, path))
        except TimeoutError as error:
            raise BadVideo(f"not fetched within {timeout_s:g} s") from error

    def _fetch_in_turn(self, address: str, path: Path) -> None:
        """Fetches a file unless somebody else just did."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            turn = os.open(path.with_name("lock"), os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            _lock(turn, fcntl.LOCK_EX)
            if not path.exists():
                self._fetch(address, path)
        finally:
            os.close(turn)

    def _fetch(self, address: str, path: Path) -> None:
        for pause in (*self._pauses, None):
            try:
                with replacing(path) as temporary:
                    _download(address, temporary)
                return
            except (ConfigError, BadVideo):
                raise
            except FileNotFoundError as error:
                raise BadVideo("missing") from error
            except PermissionError as error:
                raise BadVideo("permission denied") from error
            except Exception as error:  # each file system has errors of its own
                if isinstance(error, OSError) and error.errno in _FULL:
                    raise self._unwritable(error) from error
                if pause is None:
                    raise BadVideo(f"cannot be fetched: {library_reason(error) or type(error).__name__}") from error
                time.sleep(pause)

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"{self.folder} cannot be written ({error.strerror}): data.remote_cache= names another folder for what is "
            "fetched"
        )

    def _make_room(self, added: int) -> None:
        """Removes what was not read for longest where there is too much."""
        with self._lock:
            is_known, self._added = self._added is not None, (self._added or 0) + added
            if is_known and self._added < _FEW * self._most:
                return
            self._added = 0
            _keep_below(self.folder, self._most)


def _hold(path: Path) -> int | None:
    """A descriptor of a copy that keeps it from being removed until it is closed; None where there is no copy."""
    try:
        held = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    _lock(held, fcntl.LOCK_SH)
    status = os.fstat(held)
    if not status.st_nlink:  # removed before it was locked
        os.close(held)
        return None
    with suppress(OSError):  # another user's
        os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))
    return held


def _lock(descriptor: int, kind: int) -> None:
    with suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, kind)


def _keep_below(folder: Path, most: float) -> None:
    """Removes copies that nobody reads, the one that was read first before the others, where all take more."""
    copies = []
    for path in folder.glob("*/*"):
        with suppress(OSError):  # another process has removed it
            status = path.stat()
            if path.name.startswith(".") and status.st_mtime < time.time() - _ABANDONED_S:
                path.unlink()
            elif path.name != "lock":
                copies.append((status.st_atime_ns, status.st_size, path))
    total = sum(size for _, size, _ in copies)
    if total <= most:
        return
    for _, size, path in sorted(copies):
        if total <= _KEPT * most:
            return
        if not path.name.startswith(".") and _remove(path):
            total -= size


def _remove(path: Path) -> bool:
    """Removes a copy, and whether it did: not while somebody reads it."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            return True
        finally:
            os.close(descriptor)
    return False


def _file_system(address: str) -> tuple[Any, str]:
    """Who opens an address, and what the file is called there."""
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{address}: files at addresses are read by fsspec, which is not installed: {to_install('remote')}"
        ) from error
    try:
        return url_to_fs(address)
    except ImportError as error:  # as `Install s3fs to access S3`
        raise ConfigError(f"{address}: {library_reason(error)}") from error
    except ValueError as error:
        raise BadVideo(f"no address that can be read: {library_reason(error)}") from error


def _download(address: str, path: Path) -> None:
    files, name = _file_system(address)
    about = files.info(name)
    if about.get("type") == "directory":
        raise BadVideo("a folder at an address, not a file: list its videos, or pack its frames")
    files.get_file(name, str(path))
    size, came = about.get("size"), path.stat().st_size
    if size is not None and came != size:
        raise OSError(f"{came} of {size} bytes came")


def use_copies(folder: str | None, gigabytes: float) -> None:
    """Has this process keep its copies in a folder, and below a size; see `Copies`."""
    global _copies
    _copies = Copies(None if folder is None else Path(folder), gigabytes)


@contextmanager
def local_file(path: str, timeout_s: float | None = None) -> Iterator[str]:
    """The path itself, or that of the copy of what is at an address; arguments and errors as of `Copies.copy`."""
    if not is_remote(path):
        yield path
        return
    with _copies.copy(path, timeout_s=timeout_s) as copy:
        yield str(copy)


@contextmanager
def local_list(address: str) -> Iterator[Path]:
    """The copy of a list as it is now; raises `ConfigError` where it cannot be fetched."""
    with ExitStack() as kept:
        try:
            files, name = _file_system(address)
            copy = kept.enter_context(_copies.copy(address, version=files.ukey(name)))
        except ConfigError:
            raise
        except BadVideo as error:
            raise ConfigError(f"the list {address} cannot be read ({error})") from error
        except Exception as error:  # each file system has errors of its own
            reason = "missing" if isinstance(error, FileNotFoundError) else library_reason(error)
            raise ConfigError(f"the list {address} cannot be read ({reason})") from error
        yield copy


def exists_at(address: str) -> bool:
    """Whether there is a file at an address; raises `ConfigError` where nobody can tell."""
    try:
        files, name = _file_system(address)
        files.info(name)
        return True
    except FileNotFoundError:
        return False
    except ConfigError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise ConfigError(f"{address} cannot be read ({library_reason(error) or type(error).__name__})") from error


_copies = Copies()
