"""Where the packed copy of a video goes, relative to the folder of all of them."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from mae.data.lists.endings import PACKED_EXTENSION
from mae.data.lists.listed_files import has_pattern
from mae.data.videos.frame_series import ANY
from mae.files import utf8_name

ELSEWHERE = "elsewhere"  # folder for videos that do not lie below the root, and for names that no list can hold
LONGEST_NAME = 200  # bytes of UTF-8: file systems take 255, and the name is longer while the file is written


def packed_names(paths: Sequence[str], root: Path) -> dict[str, str]:
    """The name of each distinct video's packed copy, with forward slashes: its own below `root`, with `.zip` added.

    So `a.mp4` and `a.avi` stay apart, and directories of classes stay as they are. A video elsewhere gets the hash of
    its path before its name.
    """
    prefix = os.path.join(root, "")
    return {path: _packed_name(path, path.removeprefix(prefix).replace(os.sep, "/")) for path in dict.fromkeys(paths)}


def _packed_name(path: str, relative: str) -> str:
    if _is_plain(relative):
        # What stands in a pattern should in no file name.
        return (relative.replace(ANY, "+") if has_pattern(relative) else relative) + PACKED_EXTENSION
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", os.path.basename(path))[-80:]
    return f"{ELSEWHERE}/{digest}-{readable}{PACKED_EXTENSION}"


def _is_plain(relative: str) -> bool:
    """Whether a path relative to the root names a place below any other folder, too, and can stand in a list."""
    parts = relative.split("/")
    try:
        is_short = all(len(utf8_name(part).encode()) <= LONGEST_NAME for part in parts)
    except ValueError:
        return False
    return is_short and not relative.startswith("/") and ".." not in parts and not re.search(r"[\r\n\0]", relative)
