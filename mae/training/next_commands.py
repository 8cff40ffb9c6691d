"""The commands to type after a run, which work as they stand: printed, and kept in the run directory."""

from collections.abc import Sequence
from pathlib import Path

from mae.data.clips import ClipReader
from mae.errors import BadVideo
from mae.files import replacing

FILE = "next_commands.txt"
_MOST_TRIED = 50  # videos: where so many cannot be read, no command names one


def tell_next(run_dir: Path, lines: Sequence[str]) -> str:
    """What to print; the same lines, which are commands and, behind a `#`, notes, are kept in the run directory."""
    kept = f"also in {run_dir / FILE}"
    try:
        with replacing(run_dir / FILE) as temporary:
            temporary.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    except OSError as error:  # the run is complete all the same
        kept = f"{run_dir / FILE} cannot be written: {error.strerror}"
    return "\n".join([f"next ({kept}):", *(f"  {line}" for line in lines)])


def readable_video(reader: ClipReader) -> str | None:
    """The first video of the list that gives a clip; None where none of many does."""
    paths = reader.index.paths
    for example in range(min(len(paths), _MOST_TRIED)):
        try:
            reader.center_clip(example)
        except BadVideo:
            continue
        return paths[example]
    return None
