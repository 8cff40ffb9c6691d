"""What may be configured about videos: where they are (`dataset=`) and how they are read (`data.`)."""

from dataclasses import dataclass

from mae.errors import ConfigError, check_choice
from mae.options import CROPS


@dataclass(frozen=True)
class ShapesDataset:
    """The embedded default: small rendered videos whose class is their motion."""

    name: str
    frame_stride: int  # source frames between two frames of a clip
    root: str | None  # where the files are rendered; null: the user's cache directory
    videos_per_class: int
    seed: int  # of the rendering; another seed is another set of files


@dataclass(frozen=True)
class FolderDataset:
    """Every video below `root`; a directory is a class where all videos lie in directories.

    A directory of images only is one video.
    """

    name: str
    frame_stride: int  # source frames between two frames of a clip
    root: str | None


@dataclass(frozen=True)
class CsvDataset:
    """A text list, one video a line: `path`, `path label` or `path label start end`; see `mae.data.lists.lines`."""

    name: str
    frame_stride: int  # source frames between two frames of a clip
    root: str | None  # what relative paths in the list are relative to; null: the list's own directory
    train: str | None  # the list; a relative one is looked for in `root`, then in the working directory
    classes: str | None  # class names, one a line, looked for likewise; null: classes.txt beside the list, if any


DatasetConfig = ShapesDataset | FolderDataset | CsvDataset
DATASET_KINDS = {"shapes": ShapesDataset, "folder": FolderDataset, "csv": CsvDataset}


@dataclass(frozen=True)
class DataConfig:
    """How clips are read, whatever the dataset."""

    workers: int  # clips decoded at the same time; 0: one per CPU core
    prefetch: int  # batches kept ready
    max_bad_frac: float  # of the listed videos; training stops (exit 3) when more than this are unreadable
    crop: str  # "multi_scale" (the published augmentation) | "center"

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ConfigError(f"data.workers={self.workers} must be 0 (one per core) or more")
        if self.prefetch < 1:
            raise ConfigError(f"data.prefetch={self.prefetch} must be at least 1")
        if not 0 <= self.max_bad_frac <= 1:
            raise ConfigError(f"data.max_bad_frac={self.max_bad_frac} must lie in [0, 1]")
        check_choice("data.crop", self.crop, CROPS)
