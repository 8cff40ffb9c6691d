"""Packed videos become shards: files of many, which `mae.data.videos.shards` reads.

A shard is never changed once it has its name. What is packed anew, or for the first time, gets into further ones.
"""

import os
import re
import shutil
import zipfile
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path

from mae.cli.shared_work import Shard
from mae.data.pack.output import remove_empty, unfinished_folder, unfinished_folders
from mae.data.videos.shards import is_shard, names_in
from mae.errors import BadVideo
from mae.files import abandoned, replacing

_AT_ONCE = 1 << 22  # bytes
_ZIP64_FROM = 1 << 31  # bytes, of a member


class Shards:
    """The shards of a folder, and those that are made of videos in the order of the list.

    Args:
        output: the folder.
        names: of all packed videos, in that order.
        videos_per_file: how many make a shard; the last one has fewer.
        share: of the work, which has shards of its own.
    """

    def __init__(self, output: Path, names: Iterable[str], videos_per_file: int, share: Shard | None) -> None:
        self.damaged: list[str] = []  # what is wrong with shards that are there
        self.files: dict[str, str] = {}  # by name: what a list calls it
        self._output, self._videos_per_file = output, videos_per_file
        self._own, self._share = unfinished_folder(output, share), share
        self._begin = "shard-" if share is None else f"shard-{share}-"
        self._held = self._found()
        self._left = self._left_by(unfinished_folders(output))
        self._expected = deque(names)
        self._became: dict[str, Path | None] = {}
        self._waiting: dict[str, Path] = {}  # by name: what goes into the next shard

    def place(self, name: str) -> Path:
        """Where a video is packed, until its shard is written."""
        return self._own / name

    def earlier(self, name: str) -> list[Path]:
        """Where an earlier call may have left it, the latest first."""
        return [*self._held_places(name), *self._left.get(name, ())]

    def add(self, name: str, packed: Path | None) -> None:
        """Takes what has become of a video, None where it is broken; writes the shards that it was the last for."""
        self._became[name] = packed
        while self._expected and self._expected[0] in self._became:
            first = self._expected.popleft()
            place = self._became.pop(first)
            if place is None:
                continue
            if place in self._held_places(first):
                self.files[first] = str(place.relative_to(self._output))
                self._remove_left(first)  # by a call that was killed before it could
                continue
            self._waiting[first] = place
            if len(self._waiting) == self._videos_per_file:
                self._write()

    def finish(self) -> None:
        """Writes the last shard."""
        if self._waiting:
            self._write()
        folders = unfinished_folders(self._output)
        self._left_by(folders)  # without what killed workers had begun
        for folder in folders:
            remove_empty(folder)

    def _write(self) -> None:
        path = self._output / f"{self._begin}{self._next_number():05d}.zip"
        write_shard(path, self._waiting)
        for name, place in self._waiting.items():
            self.files[name] = f"{path.name}/{name}"
            place.unlink()
            self._remove_left(name)
        self._waiting = {}

    def _next_number(self) -> int:
        named = re.compile(re.escape(self._begin) + r"([0-9]+)\.zip")
        numbers = [int(match[1]) for path in self._output.iterdir() if (match := named.fullmatch(path.name))]
        return max(numbers, default=-1) + 1

    def _held_places(self, name: str) -> list[Path]:
        return [shard / name for shard in self._held.get(name, ())]

    def _remove_left(self, name: str) -> None:
        for place in self._left.pop(name, ()):
            place.unlink(missing_ok=True)

    def _left_by(self, folders: Iterable[Path]) -> dict[str, list[Path]]:
        """What waits for a shard in these folders, by name; what a killed process had begun in them goes."""
        found: dict[str, list[Path]] = {}
        for folder in folders:
            for path, _, names in os.walk(folder):
                if self._share is None or folder == self._own:
                    for begun in abandoned(Path(path)):
                        begun.unlink(missing_ok=True)
                for name in names:
                    place = Path(path, name)
                    found.setdefault(place.relative_to(folder).as_posix(), []).append(place)
        return found

    def _found(self) -> dict[str, list[Path]]:
        """The shards by the names of the videos in them, the latest first."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self._output.glob("shard-*.zip"), reverse=True):
            try:
                # Where the start is damaged, its name still tells one from the packed copy of a video.
                if is_shard(str(path)) or re.fullmatch(r"shard-([0-9]+-of-[0-9]+-)?[0-9]{5,}\.zip", path.name):
                    for name in names_in(str(path)):
                        found.setdefault(name, []).append(path)
            except BadVideo as error:
                self.damaged.append(str(error))
        return found


def write_shard(path: Path, packed: Mapping[str, Path]) -> None:
    """Writes packed videos, by the names that they get, as one shard; the whole file or nothing.

    Raises:
        OSError: one cannot be read, or the shard not be written.
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, place in packed.items():
            info = zipfile.ZipInfo(name)
            info.file_size = place.stat().st_size
            with (
                open(place, "rb") as content,
                archive.open(info, "w", force_zip64=info.file_size >= _ZIP64_FROM) as member,
            ):
                shutil.copyfileobj(content, member, _AT_ONCE)
