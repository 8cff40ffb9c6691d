"""The folder that videos are packed into: who may write to it, and what killed runs left there."""

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mae.cli.shared_work import Shard
from mae.data.lists.given import GivenVideos
from mae.errors import ConfigError
from mae.files import abandoned

LIST_FILE, BROKEN_FILE = "list.csv", "broken.csv"
OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR)

_UNFINISHED = ".unfinished"  # begins the names of folders for videos on their way into a shard; hidden from lists
_MADE_FROM = "# packed by mae.data.pack from "  # begins every list that this command writes
_WRITTEN = r".+\.zip|list\.csv|classes\.txt|broken\.csv"  # names of what this command writes


def unfinished_folder(output: Path, share: Shard | None) -> Path:
    """Where a share of the work, or all of it, keeps what is not in a shard yet."""
    return output / (_UNFINISHED if share is None else f"{_UNFINISHED}-{share}")


def unfinished_folders(output: Path) -> list[Path]:
    """Those that are there, of any share."""
    return sorted(path for path in output.glob(f"{_UNFINISHED}*") if path.is_dir())


def check_places(given: GivenVideos, output: Path, names: Iterable[str]) -> None:
    """Refuses an output that would be read as input, or written over it."""
    source, real = given.path, Path(os.path.realpath(output))
    if source.is_dir():
        folder = Path(os.path.realpath(source))
        if real == folder or folder in real.parents:
            raise ConfigError(
                f"output={output} lies in source={source}, where packed videos would count as more videos; "
                "give a folder elsewhere"
            )
    elif source == output / LIST_FILE or os.path.realpath(source) == str(real / LIST_FILE):
        raise ConfigError(f"output={output} would get a {LIST_FILE} in place of the input; give another folder")
    sources = set(given.index.paths)
    for name in names:
        for target in (output / name, real / name):
            if str(target) in sources:
                raise ConfigError(f"{target} is one of the videos and would be replaced; give another output=")


def check_earlier_list(path: Path, source: Path) -> None:
    """Refuses to replace a list that was not made from the same input."""
    if not path.exists():
        return
    first = path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
    if first != made_from(source):
        made = first.removeprefix(_MADE_FROM) if first.startswith(_MADE_FROM) else "something else"
        raise ConfigError(f"{path} was made from {made}, not from {source}; give another output=, or remove that file")


def made_from(source: Path) -> str:
    """The first line of a list of what was packed."""
    return _MADE_FROM + str(source).encode("unicode_escape", "surrogatepass").decode()


@contextmanager
def writing_to(output: Path) -> Iterator[None]:
    """Makes the folder; what cannot be written is one line."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        hint = "; make room and call again: it goes on where it was" if error.errno in OUTPUT_ERRORS[:2] else ""
        place = error.filename2 or error.filename or output
        raise ConfigError(f"{place} cannot be written ({error.strerror}){hint}") from error


@contextmanager
def only_one_in(output: Path, share: Shard | None) -> Iterator[None]:
    """Keeps a second process out, which would take the files at work for leftovers; other shares may come in."""
    if share is None:
        with _locked(output, fcntl.LOCK_EX, f"another process is packing into {output}; wait, or give another output="):
            yield
        return
    own = unfinished_folder(output, share)
    own.mkdir(exist_ok=True)
    with (
        _locked(output, fcntl.LOCK_SH, f"a process without shard= is packing into {output}; wait until it is done"),
        _locked(own, fcntl.LOCK_EX, f"another process is packing shard={share.number}/{share.count} into {output}"),
    ):
        yield
        remove_empty(own)


def remove_leftovers(output: Path, names: Iterable[str], share: Shard | None) -> None:
    """Removes what a killed process had begun in the folders of these files; of a share, only what is its own."""
    by_folder: dict[Path, set[str]] = {output: set()}
    for name in names:
        by_folder.setdefault((output / name).parent, set()).add(os.path.basename(name))
    begun = abandoned(output, rf"shard-{share}-[0-9]+\.zip")
    for folder, among in by_folder.items():
        begun += abandoned(folder, _WRITTEN, None if share is None else among)
    for path in begun:
        path.unlink(missing_ok=True)


def remove_empty(folder: Path) -> None:
    """Removes folders below a folder, and itself, that hold no file."""
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except OSError:  # something is in it
            continue


@contextmanager
def _locked(folder: Path, kind: int, message: str) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(message) from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)
