"""What may be configured about videos: where they are (`dataset=`), how they are read (`data.`, `augment.`)."""

import os
from dataclasses import dataclass, field
from typing import Any

from mae.cli.typed import PATH
from mae.data.sampling import SAMPLERS, SHORT_CLIPS, TEST_SAMPLERS
from mae.data.transforms.color_jitter import ColorJitter
from mae.data.transforms.rand_augment import parse_rand_augment
from mae.data.videos.decoding import Decoding, check_window, decoding
from mae.errors import ConfigError, check_at_least, check_choice
from mae.options import CHANNELS, CROPS, DECODERS, RESIZES


@dataclass(frozen=True)
class RenderedDataset:
    """Small videos that are rendered on first use, whose class is their motion."""

    name: str
    frame_stride: int  # source frames between two frames of a clip
    root: str | None = field(metadata=PATH)  # where the files are rendered; null: the user's cache directory
    videos_per_class: int
    seed: int  # of the rendering; another seed is another set of files
    val_videos_per_class: int  # held out for fine-tuning, which renders them with a seed of their own


@dataclass(frozen=True)
class ShapesDataset(RenderedDataset):
    """The embedded default: one object before a still background."""

    classes: str  # all | straight: those that do not turn (neither circle nor rotate)
    background: str  # ramp: of strong colours, no patch is flat | dark: an even grey behind a bright object


@dataclass(frozen=True)
class CameraDataset(RenderedDataset):
    """A camera that moves over a natural picture."""


@dataclass(frozen=True)
class ObjectsDataset(RenderedDataset):
    """A textured object before a textured background that moves, too."""


@dataclass(frozen=True)
class OrderDataset(RenderedDataset):
    """An object before a still picture that changes in one order or the other, fast or slowly."""


@dataclass(frozen=True)
class FolderDataset:
    """Every video below `root`; a directory is a class where all videos lie in directories.

    A directory that holds a series of pictures is one video. Where `root` has folders called train, val and test, these
    are the lists.
    """

    name: str
    frame_stride: int  # source frames between two frames of a clip
    root: str | None = field(metadata=PATH)
    val: str | None = field(metadata=PATH)  # a folder of held-out videos, classes as in `root`; null: see `holdout`
    holdout: float  # share of each class in `root` that fine-tuning holds out; 0: none

    def __post_init__(self) -> None:
        if not 0 <= self.holdout < 1:
            raise ConfigError(f"dataset.holdout={self.holdout} must lie in [0, 1)")
        if self.val is not None and self.holdout > 0:
            raise ConfigError(f"dataset.val={self.val} and dataset.holdout={self.holdout} are both given: give one")


@dataclass(frozen=True)
class CsvDataset:
    """A list, one video a line or row: `path`, `path label` or `path label start end`; see `mae.data.lists`."""

    name: str
    frame_stride: int  # source frames between two frames of a clip, of videos whose line in the list has no stride
    # What relative paths in the list are relative to; null: the list's own directory.
    root: str | None = field(metadata=PATH)
    # The list; a relative one is looked for in `root`, then in the working directory.
    train: str | None = field(metadata=PATH)
    val: str | None = field(metadata=PATH)  # the list that fine-tuning validates on; null: no validation
    test: str | None = field(metadata=PATH)  # the list of its test at the end; null: `val`
    # Class names, one a line, looked for likewise; null: classes.txt beside the list, if any.
    classes: str | None = field(metadata=PATH)
    targets: list[str]  # columns of the lists that fine-tuning learns, by their names; []: the column of labels
    holdout: float  # share of `train` that fine-tuning holds out, whole groups where the list has some; 0: none

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", list(self.targets))  # a plain list, whatever composed it
        if len(set(self.targets)) < len(self.targets):
            raise ConfigError(f"dataset.targets=[{','.join(self.targets)}] names one twice")
        if not 0 <= self.holdout < 1:
            raise ConfigError(f"dataset.holdout={self.holdout} must lie in [0, 1)")
        held = next((f"{name}={value}" for name in ("val", "test") if (value := getattr(self, name)) is not None), None)
        if held is not None and self.holdout > 0:
            raise ConfigError(f"dataset.{held} and dataset.holdout={self.holdout} are both given: give one")


DatasetConfig = RenderedDataset | FolderDataset | CsvDataset
DATASET_KINDS = {
    "shapes": ShapesDataset,
    "camera": CameraDataset,
    "objects": ObjectsDataset,
    "order": OrderDataset,
    "folder": FolderDataset,
    "csv": CsvDataset,
}


@dataclass(frozen=True)
class DataConfig:
    """How clips are read, whatever the dataset."""

    workers: int  # videos decoded at the same time; 0: one per CPU core
    prefetch: int  # batches kept ready, at most
    ram_budget_gb: float | None  # 10⁹ bytes that decoded clips may take; null: a quarter of the machine's memory
    frames: str | None  # which pictures of a directory are its frames, as img_*; null: one series; none: no picture is
    decoder: str  # of video files: pyav (what `ffmpeg` shows) | opencv
    channels: str  # of pixels: rgb | grey (the luma) | stored (those of arrays), see `mae.data.videos.decoding`
    window: list[float] | None  # what becomes black and white of arrays, as [-1000,400]; null: they are uint8
    resize: str  # how a video of another aspect becomes a clip: crop | letterbox | stretch
    timeout_s: float  # seconds; a video that is not decoded by then is bad, and one that is not fetched
    # Where copies of videos at addresses are, see `mae.data.remote.copies`; null: in the user's cache directory.
    remote_cache: str | None = field(metadata=PATH)
    remote_cache_gb: float  # 10⁹ bytes that they may take
    max_bad_frac: float  # of the listed videos; training stops (exit 3) when more than this are unreadable
    sampler: str  # which frames make a clip: a name of `mae.data.sampling.SAMPLERS`
    short_clip: str  # of a video too short for a clip: repeat_last | loop | skip
    clips_per_video: int  # cut from one decoding pass (repeated sampling)
    motion_candidates: int  # windows read for each clip, of which the one that moves most is taken; 1: the only one

    @property
    def decoders(self) -> int:
        """Threads that read clips, on each machine."""
        return self.workers or os.cpu_count() or 1

    def decoding(self, in_channels: int) -> Decoding:
        """How videos become what a model of so many channels takes; raises `ConfigError` where they cannot."""
        return decoding(in_channels, self.channels, self.window, self.decoder)

    def __post_init__(self) -> None:
        check_reading(self, prefix="data.")
        window = check_window(self.window)
        object.__setattr__(self, "window", None if window is None else list(window))  # a plain list
        check_choice("data.resize", self.resize, RESIZES)
        check_choice("data.channels", self.channels, CHANNELS)
        check_at_least(1, self, "prefetch", "clips_per_video", "motion_candidates", prefix="data.")
        if self.ram_budget_gb is not None and self.ram_budget_gb <= 0:
            raise ConfigError(f"data.ram_budget_gb={self.ram_budget_gb} must be above 0")
        if self.remote_cache_gb <= 0:
            raise ConfigError(f"data.remote_cache_gb={self.remote_cache_gb} must be above 0")
        check_choice("data.sampler", self.sampler, SAMPLERS)


def check_reading(reading: Any, prefix: str = "") -> None:
    """Checks what commands and programs alike say of how videos are read.

    Args:
        reading: has `workers`, `decoder`, `timeout_s`, `short_clip` and `max_bad_frac`.
        prefix: of these names in messages.

    Raises:
        ConfigError: a number out of range, or no such name.
    """
    if reading.workers < 0:
        raise ConfigError(f"{prefix}workers={reading.workers} must be 0 (one per core) or more")
    if reading.timeout_s <= 0:
        raise ConfigError(f"{prefix}timeout_s={reading.timeout_s} must be above 0")
    if not 0 <= reading.max_bad_frac <= 1:
        raise ConfigError(f"{prefix}max_bad_frac={reading.max_bad_frac} must lie in [0, 1]")
    check_choice(f"{prefix}decoder", reading.decoder, DECODERS)
    check_choice(f"{prefix}short_clip", reading.short_clip, SHORT_CLIPS)


@dataclass(frozen=True)
class TestViews:
    """Which clips and crops of a video a test looks at; every clip is seen in every crop."""

    __test__ = False  # not a test of pytest's

    sampler: str  # a name of `mae.data.sampling.TEST_SAMPLERS`
    clips: int
    crops: int

    def __post_init__(self) -> None:
        check_choice("test.sampler", self.sampler, TEST_SAMPLERS)
        check_at_least(1, self, "clips", "crops", prefix="test.")
        if self.sampler == "segments" and self.clips > 2:
            raise ConfigError(f"test.clips={self.clips}: there are 2 by segments, mid-points and starts")


@dataclass(frozen=True)
class Augmentation:
    """Settings `augment.`; every draw is the same for all frames of a clip."""

    crop: str  # multi_scale (pre-training, published) | random_resized (fine-tuning, published) | center
    flip: bool  # mirror every other clip; not where a class tells left from right
    brightness: float  # a factor in [1 − x, 1 + x]; 0: off, as the next two
    contrast: float
    saturation: float
    hue: float  # turns of the colour circle in [−x, x], at most 0.5
    rand_augment: str | None  # as "rand-m7-n4-mstd0.5-inc1"; null: off
    erase_probability: float  # of one block of noise

    def __post_init__(self) -> None:
        check_choice("augment.crop", self.crop, CROPS)
        if self.rand_augment is not None:
            parse_rand_augment(self.rand_augment)
        if not 0 <= self.erase_probability <= 1:
            raise ConfigError(f"augment.erase_probability={self.erase_probability} must lie in [0, 1]")
        _ = self.colors

    def check_channels(self, count: int) -> None:
        """Raises `ConfigError` for what is not defined of pixels with so many channels.

        Of one channel everything is but colours; of others than one and three brightness and erasing alone.
        """
        defined = {"saturation": (3,), "hue": (3,), "contrast": (1, 3), "rand_augment": (1, 3)}
        for name, counts in defined.items():
            if getattr(self, name) and count not in counts:
                off = "null" if name == "rand_augment" else "0"
                among = " or ".join(map(str, counts))
                raise ConfigError(
                    f"augment.{name}={getattr(self, name)} is for pixels of {among} channels, and they have {count}: "
                    f"give augment.{name}={off}"
                )

    @property
    def colors(self) -> ColorJitter:
        return ColorJitter(self.brightness, self.contrast, self.saturation, self.hue)
