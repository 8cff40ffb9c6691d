"""What shares of a command's work have found out, kept beside its output until all of it is there.

Every process appends to a file of its own, a line of JSON for each video; a command that is called again, or without
`shard=`, takes over what any of them knows. A line that a kill cut is one video less.
"""

import fcntl
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from mae.cli.shared_work import Shard
from mae.errors import ConfigError

_WHOLE = "all"  # the name of the file of a command without a share


class Parts:
    """The files of a folder, read when this is made.

    Args:
        output: what the command writes at the end; the folder stands beside it.
        settings: what the findings depend on besides the videos; JSON.
        share: whose file is appended to.

    Raises:
        ConfigError: a file is of other settings or cannot be read.
    """

    def __init__(self, output: Path, settings: Mapping[str, Any], share: Shard | None) -> None:
        self.known: dict[str, Any] = {}  # findings by video
        self._folder = output.with_name(f"{output.name}.parts")
        self._settings = json.loads(json.dumps(settings))  # as it reads back
        self._path = self._folder / f"{share or _WHOLE}.jsonl"
        self._file: IO[str] | None = None
        for path in sorted(self._folder.glob("*.jsonl")):
            try:
                self._take(path)
            except OSError as error:
                raise ConfigError(f"{path} cannot be read ({error.strerror})") from error

    def put(self, video: str, finding: Any) -> None:
        """Appends a finding, JSON; it is in the file when this returns.

        Raises:
            ConfigError: the file cannot be written, or another process writes this share.
        """
        try:
            if self._file is None:
                self._file = self._opened()
            self._file.write(json.dumps([video, finding]) + "\n")
            self._file.flush()
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written ({error.strerror})") from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        """Removes the folder, once the output is written."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _take(self, path: Path) -> None:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            settings = _parsed(file.readline())
            if settings is None:
                return  # killed before its first line was whole
            other = [key for key, value in self._settings.items() if settings.get(key) != value]
            if other:
                told = "; ".join(f"{key} {settings.get(key)} → {self._settings[key]}" for key in other)
                raise ConfigError(
                    f"{path} was made with other settings ({told}): type those again, or remove {self._folder}"
                )
            for line in file:
                parsed = _parsed(line)
                if parsed is not None:
                    video, finding = parsed
                    self.known[video] = finding

    def _opened(self) -> IO[str]:
        self._folder.mkdir(exist_ok=True)
        file = open(self._path, "a+", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise ConfigError(f"another process is writing {self._path}: wait until it is done") from error
        except OSError:
            pass  # a file system without locks
        file.seek(0)
        if _parsed(file.readline()) is None:  # new, or killed before its first line was whole
            file.truncate(0)
            file.write(json.dumps(self._settings) + "\n")
        else:
            file.write("\n")  # ends a line that was cut; an empty one is none
        return file


def _parsed(line: str) -> Any:
    """The content of a whole line; None where it is none."""
    try:
        return json.loads(line) if line.endswith("\n") else None
    except ValueError:
        return None
