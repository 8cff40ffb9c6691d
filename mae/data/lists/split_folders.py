"""A directory that is divided already: `root/train/walk/a.mp4`, `root/val/walk/b.mp4`."""

import os
from dataclasses import dataclass
from pathlib import Path

from mae.data.lists.found import find_below
from mae.errors import ConfigError

# What divided data sets call their parts, in any case.
_PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class SplitFolders:
    """The folders of a divided data set; None: it has no such part."""

    train: Path
    val: Path | None
    test: Path | None

    def notes(self) -> tuple[tuple[str, str], ...]:
        """A row for the table at the start of a run."""
        told = [f"{self.train.name}/ is trained on"]
        told += [f"{self.val.name}/ is validated on"] if self.val else []
        told += [f"{self.test.name}/ is tested with"] if self.test else []
        return (("split", ", ".join(told)),)


def split_folders(root: Path) -> SplitFolders | None:
    """The parts of `root`, told by the names of its directories; None where it is not divided.

    Raises:
        ConfigError: parts beside directories of other videos, two folders for one part, or none to train on.
    """
    try:
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError as error:
        raise ConfigError(f"{root} cannot be listed ({error.strerror})") from error
    parts: dict[str, str] = {}
    for name in names:
        part = _PARTS.get(name.casefold())
        if part in parts:
            raise ConfigError(
                f"{root} has two folders for the same part, {parts[part]} and {name}: give dataset.root=, the folder "
                "to train on, and dataset.val="
            )
        if part is not None:
            parts[part] = name
    if not parts or ("train" not in parts and len(parts) == 1):
        return None
    if others := [name for name in names if name not in parts.values() and _has_videos(root / name)]:
        if len(parts) == 1:  # a class may be called so
            return None
        raise ConfigError(
            f"{root} holds {' and '.join(parts.values())}, which look like parts of a data set, beside videos in "
            f"{others[0]}: give dataset.root=, the folder to train on, and dataset.val="
        )
    if "train" not in parts:
        raise ConfigError(
            f"{root} holds {' and '.join(parts.values())} and no train: give dataset.root=, the folder to train on"
        )
    val, test = (root / parts[part] if part in parts else None for part in ("val", "test"))
    return SplitFolders(root / parts["train"], val, test)


def _has_videos(directory: Path) -> bool:
    found = find_below(directory)
    return bool(found.videos or found.frames or found.unclear)
