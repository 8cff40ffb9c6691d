"""What can be said about a path before anything in it is decoded."""

import os
import stat

from mae.data.videos.frame_series import split_pattern
from mae.data.videos.shards import split_shard, stretch_of
from mae.errors import BadVideo
from mae.files import utf8_name

FileKey = tuple[str, int, int]  # path, bytes, modification time in ns: identifies the content


def file_state(path: str) -> list[int] | None:
    """Bytes and time of change, by which another video under its name is told; None where there is none."""
    try:
        stretch = stretch_of(path)
    except (OSError, ValueError, BadVideo):
        return None
    return [stretch.size, stretch.modified_ns]


def file_key(path: str) -> FileKey:
    """The key of a readable file, directory or video in a shard; raises `BadVideo` with the reason for none."""
    try:
        utf8_name(path)
        if split_shard(path) is not None:
            stretch = stretch_of(path)
            return path, stretch.size, stretch.modified_ns
        place, _ = split_pattern(path)
        status = os.stat(place)
        if stat.S_ISDIR(status.st_mode):
            os.listdir(place)
            return path, status.st_size, status.st_mtime_ns
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise BadVideo("not a regular file")
        with open(path, "rb"):
            pass
    except FileNotFoundError as error:
        raise BadVideo("missing") from error
    except PermissionError as error:
        raise BadVideo("permission denied") from error
    except OSError as error:
        raise BadVideo(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # an undecodable name, or a NUL in it
        raise BadVideo("its name is not valid UTF-8, which the decoders need") from error
    if status.st_size == 0:
        raise BadVideo("empty file")
    return path, status.st_size, status.st_mtime_ns
