"""Packing one video, on this machine or by a worker of a cluster."""

import threading
from dataclasses import dataclass
from pathlib import Path

from mae.data.pack.output import OUTPUT_ERRORS
from mae.data.pack.write import Packed, Pictures, packed_before, write_packed
from mae.data.videos.read import pin_threads
from mae.errors import BadVideo


class GivenUp(Exception):
    """The command ends before this video is packed."""


@dataclass(frozen=True)
class Job:
    """A video to pack."""

    path: str
    earlier: tuple[Path, ...]  # where it may be already, as files or in shards
    target: Path  # where it is written else


@dataclass(frozen=True)
class Done:
    """What has become of it."""

    place: Path
    packed: Packed
    is_new: bool


def pack_one(job: Job, pictures: Pictures, stop: threading.Event | None = None) -> Done:
    """Packs a video unless an earlier call has.

    Args:
        stop: set where the command ends, which gives up what is begun; None: elsewhere, where nobody can say so.

    Raises:
        BadVideo: it cannot be read.
        OSError: the target cannot be written.
    """

    def check() -> None:
        if stop is not None and stop.is_set():
            raise GivenUp

    check()
    pin_threads()
    for place in job.earlier:
        if earlier := packed_before(job.path, place, pictures):
            return Done(place, earlier, False)
    try:
        return Done(job.target, write_packed(job.path, job.target, pictures, check), True)
    except OSError as error:
        if error.errno in OUTPUT_ERRORS:
            raise
        raise BadVideo(str(error)) from error
