"""The arguments that commands have in common which run a trained model over videos."""

import os
from dataclasses import dataclass, field, fields
from typing import Any

from mae.cli.shared_work import SharedWork
from mae.cli.typed import PATH
from mae.errors import check_at_least, check_choice
from mae.options import CLIP_KINDS, PRECISIONS, RESIZES
from mae.picture_size import PictureSize, check_picture_size


@dataclass(frozen=True, kw_only=True)
class TrainedArguments(SharedWork):
    """What to run, over which videos and how; the commands' own texts say more."""

    checkpoint: str = field(metadata=PATH)  # a run directory, or a checkpoint of any format
    video: str = field(metadata=PATH)  # a video, a folder of videos, or a list
    # What relative paths in a list are relative to; null: the list's own folder.
    root: str | None = field(default=None, metadata=PATH)
    frames: str | None = None  # which pictures of a directory are its frames; null: there is one series in each
    window: float | None = None  # seconds; null: videos are not cut
    stride: float | None = None  # seconds between the starts of two windows; null: one follows the other
    frame_stride: int | None = None  # source frames between two of a clip; null: as the checkpoint tells
    sampler: str | None = None  # dense | segments: which frames make a clip; null: as the checkpoint tells
    resize: str | None = None  # crop | letterbox | stretch: of other aspects; null: as the checkpoint tells, else crop
    batch_size: int = 8  # clips computed at a time
    precision: str = "float32"
    backend: str | None = None  # tensorflow | jax; null: as KERAS_BACKEND says, else tensorflow where it is installed
    num_heads: int | None = None  # of the model, as the next two; null: as the checkpoint tells
    image_size: PictureSize | None = None
    num_frames: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("precision", self.precision, PRECISIONS)
        if self.sampler is not None:
            check_choice("sampler", self.sampler, CLIP_KINDS)
        if self.resize is not None:
            check_choice("resize", self.resize, RESIZES)
        check_at_least(1, self, "frame_stride", "batch_size")
        check_picture_size(self.image_size)

    @property
    def sizes(self) -> dict[str, PictureSize | None]:
        """Of the model, as `mae.evaluation.trained` takes them."""
        return {"num_heads": self.num_heads, "image_size": self.image_size, "num_frames": self.num_frames}

    def elsewhere(self, *paths: str) -> dict[str, Any]:
        """The arguments by name as a process with another working directory needs them.

        Args:
            paths: which of them are paths, besides those of the videos, which it is given by itself.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)} | {"shard": None, "executor": None}
        named = {name: os.path.abspath(os.path.expanduser(values[name])) for name in paths if values[name] is not None}
        return values | named
