"""The commands to type after a run, which work as they stand: printed, and kept in the run directory."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from mae.data.clips import ClipReader
from mae.errors import BadVideo, TrainingStopped
from mae.files import replacing

FILE = "next_command.txt"
_MOST_TRIED = 50  # videos: where so many cannot be read, the run says so itself


def next_commands(run_dir: Path, commands: Sequence[Sequence[str]]) -> str:
    """Writes the commands, quoted for the shell, one a line, into the run directory; returns the lines to print.

    Raises:
        TrainingStopped: they cannot be written.
    """
    lines = [shlex.join(words) for words in commands]
    try:
        with replacing(run_dir / FILE) as temporary:
            temporary.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise TrainingStopped(f"{run_dir / FILE} cannot be written ({error.strerror}); the run is complete") from error
    return "\n".join([f"Next ({FILE} in the run directory):", *(f"  {line}" for line in lines)])


def readable_video(reader: ClipReader) -> str:
    """The first video of the list that gives a clip; the first of all where none of many does."""
    paths = reader.index.paths
    for example in range(min(len(paths), _MOST_TRIED)):
        try:
            reader.center_clip(example)
        except BadVideo:
            continue
        return paths[example]
    return paths[0]
