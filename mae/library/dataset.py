"""Videos as batches for Keras, for `tf.data`, and for loops of one's own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mae.checkpoints.tensorflow_needed import tensorflow_for
from mae.data.augment import CENTER
from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader, ClipSpec
from mae.data.config import Augmentation, check_reading
from mae.data.lists.given import given_videos
from mae.data.lists.in_memory import Entry, index_entries
from mae.data.lists.places import absolute
from mae.data.lists.split_folders import split_folders
from mae.data.lists.splits import with_classes
from mae.data.lists.text_list import NOTHING, Wanted
from mae.data.lists.video_index import VideoIndex
from mae.data.pipeline import Portion, training_batches
from mae.data.read_ahead import read_ahead
from mae.errors import BadVideo, ConfigError, check_choice
from mae.library.clip import Clip, augmentation
from mae.options import CLASSIFICATION, TASKS

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
_PREFETCH = 2  # batches


@dataclass(frozen=True)
class Reading:
    """How `mae.load_dataset` finds and decodes videos.

    Args:
        root: what relative paths are relative to; None: the list's folder, or the working directory.
        frames: which pictures of a directory are its frames, as `img_*`; None: there is one series in each.
        workers: threads that decode, for each batch that is being read; 0: one per CPU core.
        decoder: of video files: `pyav` (the frames that `ffmpeg` shows) or `opencv`.
        timeout_s: seconds; a video that is not decoded by then cannot be read.
        short_clip: what a video too short for a clip gives in training: `repeat_last`, `loop` or `skip` (it counts as
            one that cannot be read).
        max_bad_frac: share of the videos that may be unreadable.
        task: what the labels of a list are: `classification`, `multilabel` or `regression`.
        targets: columns of a list with a header that hold them, by their names; none: its column of labels.

    Raises:
        ConfigError: a number out of range, or no such name.

    Example:
        >>> import mae
        >>> mae.Reading(workers=2).decoder
        'pyav'
    """

    root: str | None = None
    frames: str | None = None
    workers: int = 0
    decoder: str = "pyav"
    timeout_s: float = 60.0
    short_clip: str = "repeat_last"
    max_bad_frac: float = 0.01
    task: str = CLASSIFICATION
    targets: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_reading(self)
        check_choice("task", self.task, TASKS)


class ClipDataset(keras.utils.PyDataset):
    """Batches of clips, which `mae.load_dataset` makes: `(clips, labels, weights)`, NumPy arrays.

    - clips: (b, T, H, W, c) uint8, RGB unless `mae.Clip` says otherwise.
    - labels: (b,) int32, -1 where there are none; several labels (b, labels) uint8, numbers (b, numbers) float32.
    - weights: (b,) float32: 1, or 0 for a video that cannot be read, whose clip is black.

    So Keras' `fit`, `evaluate` and `predict` take it: inputs, targets, sample weights. `dataset[i]` is batch `i` of
    this epoch, a function of the seed, the epoch and `i`; `for batch in dataset` reads an epoch ahead of its use and
    then begins the next one, as `fit` does.

    Attributes:
        index: the list of videos: `paths`, `labels`, `class_names`.
        clip: a `mae.Clip`.
        epoch: from 0.

    Example:
        >>> import mae
        >>> dataset = mae.load_dataset("videos", mae.Clip(4, 1, 24), batch_size=3)
        >>> len(dataset), [clips.shape[0] for clips, labels, weights in dataset], dataset.epoch
        (2, [3, 2], 1)
    """

    def __init__(
        self,
        index: VideoIndex,
        clip: Clip,
        augment: Augmentation | None,
        batch_size: int,
        seed: int,
        reading: Reading,
    ) -> None:
        """Made by `mae.load_dataset`."""
        # Keras reads ahead only with two workers or more, each a thread that asks for whole batches.
        super().__init__(workers=_PREFETCH, max_queue_size=_PREFETCH)
        self.index = index
        self.clip = clip
        self.epoch = 0
        self._is_training = augment is not None
        spec = ClipSpec(
            clip.num_frames,
            clip.frame_stride,
            clip.image_size,
            augment or CENTER,
            clip.sampler,
            short_clip=reading.short_clip,
            decoding=clip.decoding(reading.decoder),
            statistics=clip.statistics,
            resize=clip.resize,
        )
        self._reader = ClipReader(index, spec, seed, reading.timeout_s)
        self._batch_size = batch_size
        self._threads = reading.workers
        self._bad_videos = BadVideos(None, len(index.paths), reading.max_bad_frac, "reading.max_bad_frac")
        self._labels = np.full(len(index.paths), -1, np.int32)
        if index.is_labelled:
            truths = index.truths(index.num_classes or 0)
            self._labels = truths.astype(np.float32) if truths.dtype == np.float64 else truths

    @property
    def bad_videos(self) -> dict[str, str]:
        """Path and reason of each video that could not be read so far."""
        return self._bad_videos.reasons

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """By number; None where there are no labels, or only numbers are known; of `regression` what is told."""
        return self.index.class_names

    def __len__(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(len(self.index.paths), self._batch_size)
        return whole if self._is_training or not rest else whole + 1

    def __getitem__(self, index: int) -> Batch:
        """Batch `index` of this epoch.

        Raises:
            IndexError: the epoch has fewer.
            TrainingStopped: more videos than allowed cannot be read.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of an epoch of {len(self)}")
        first = self.epoch * len(self) + index
        (batch,) = self._batches(range(first, first + 1))
        return batch

    def __iter__(self) -> Iterator[Batch]:
        first = self.epoch * len(self)
        yield from self._batches(range(first, first + len(self)))
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Begins the next epoch: other clips, in another order. Keras calls it, also before the first of `fit`."""
        self.epoch += 1

    def as_tf_dataset(self) -> Any:
        """A `tf.data.Dataset` of the same batches; each pass over it is an epoch, the next one of this data set.

        Raises:
            ConfigError: TensorFlow is not installed.
        """
        tf = tensorflow_for("a tf.data.Dataset")
        batch = self._batch_size if self._is_training else None
        signature = (
            tf.TensorSpec((batch, *self._reader.spec.clip_shape), tf.uint8),
            tf.TensorSpec((batch, *self._labels.shape[1:]), self._labels.dtype),
            tf.TensorSpec((batch,), tf.float32),
        )
        made = tf.data.Dataset.from_generator(lambda: iter(self), output_signature=signature)
        return made.apply(tf.data.experimental.assert_cardinality(len(self)))

    def _batches(self, steps: range) -> Iterator[Batch]:
        """The batches of some steps, counted over all epochs."""
        for clips, examples, weights in self._trained_on(steps) if self._is_training else self._looked_at(steps):
            self._bad_videos.raise_if_too_many()
            yield clips, self._labels[examples], weights

    def _trained_on(self, steps: range) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Clips, their videos and weights, as a run trains on them."""
        reader, portion = self._reader, Portion(self._batch_size, steps)
        made = training_batches(
            reader, {}, self._bad_videos, portion, seed=reader.seed, workers=self._threads, prefetch=_PREFETCH
        )
        return ((batch["videos"], batch["example"], batch["valid"]) for batch in made)

    def _looked_at(self, steps: range) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The centre clip of every video, in the order of the list; the last batch may be smaller."""
        count, size = len(self.index.paths), self._batch_size
        numbers = [step % len(self) for step in steps]
        videos = [video for n in numbers for video in range(n * size, min((n + 1) * size, count))]
        clips = read_ahead(videos, self._reader.center_clip, self._threads)
        for n in numbers:
            read = list(islice(clips, min(size, count - n * size)))
            pixels, weights = (
                np.zeros((len(read), *self._reader.spec.clip_shape), np.uint8),
                np.ones(len(read), np.float32),
            )
            for row, (video, clip) in enumerate(read):
                if isinstance(clip, BadVideo):
                    self._bad_videos.record(self.index.paths[video], str(clip))
                    weights[row] = 0
                else:
                    pixels[row] = clip
            yield pixels, np.array([video for video, _ in read]), weights


def load_dataset(
    videos: str | Path | Sequence[Entry],
    clip: Clip | None = None,
    augment: str | Augmentation | None = None,
    *,
    batch_size: int = 8,
    seed: int = 0,
    split: str | None = None,
    labels: bool | Sequence[str] = True,
    reading: Reading | None = None,
) -> ClipDataset:
    """Videos as batches `(clips, labels, weights)` that Keras takes; see `mae.ClipDataset`.

    Clips are those that the commands train on and evaluate: order, time, crop and colours of one are a function of the
    seed, the epoch and the video, whatever the number of threads.

    Args:
        videos: a folder (its directories are the classes), a list (`.csv`, `.txt`, …: `path` or `path label` a line),
            one video, or a sequence of paths or of pairs of a path and its label, a number or a name.
        clip: what a clip is; None: `mae.Clip()`, 16 frames at stride 4, 224 × 224.
        augment: `pretraining` or `finetuning`, or what `mae.augmentation` gives: clips from random times, cropped at
            random, in another order in each epoch, where the videos that do not fill a batch are not seen. None: the
            clip in the middle of each video, in the order of the list, the last batch smaller.
        batch_size: clips of a batch.
        seed: of order, times, crops and colours.
        split: `train`, `val` or `test`, of a folder that has such folders.
        labels: False: leave them out, for pre-training. Names: number the classes as these are, which are a model's
            (`model.card.class_names`) or another data set's.
        reading: how videos are found and decoded; None: `mae.Reading()`.

    Raises:
        ConfigError: nothing there, no video in it, a malformed list, a class that is not among `labels`, or a batch
            larger than the list.
        TrainingStopped: where a batch is asked for, once more than `reading.max_bad_frac` of the videos could not be
            read; names the first.

    Example:
        >>> import mae
        >>> dataset = mae.load_dataset("videos", mae.Clip(4, 1, 24), augment="finetuning", batch_size=2)
        >>> clips, labels, weights = dataset[0]
        >>> clips.shape, clips.dtype, labels.shape, weights.tolist()
        ((2, 4, 24, 24, 3), dtype('uint8'), (2,), [1.0, 1.0])
        >>> dataset.class_names
        ('grow', 'move_left')
    """
    reading = reading or Reading()
    if isinstance(augment, str):
        augment = augmentation(augment)
    index = _index(videos, split, reading, NOTHING if labels is False else Wanted(reading.task, tuple(reading.targets)))
    if labels is False:
        index = replace(index, labels=None, class_names=None)
    elif reading.task != CLASSIFICATION and index.labels is not None:
        raise ConfigError(f"reading.task={reading.task} is for lists, and videos= has classes: name a list file")
    elif labels is not True:
        index = _numbered_as(index, labels)
    if batch_size < 1 or (augment is not None and batch_size > len(index.paths)):
        raise ConfigError(f"batch_size={batch_size} must lie in [1, {len(index.paths)}], the number of videos")
    return ClipDataset(index, clip or Clip(), augment, batch_size, seed, reading)


def _index(videos: str | Path | Sequence[Entry], split: str | None, reading: Reading, wanted: Wanted) -> VideoIndex:
    if isinstance(videos, str | Path):
        part = _part(videos, split)
        return given_videos("videos=", part, reading.root, reading.frames, "reading.frames=", wanted).index
    if split is not None or reading.frames is not None:
        raise ConfigError("split= and reading.frames= are for folders and lists, and videos=[…] is a sequence")
    return index_entries("videos=", videos, reading.root)


def _part(videos: str | Path, split: str | None) -> str | Path:
    """The folder of a part, where a folder is divided."""
    folder = absolute(videos)
    parts = split_folders(folder) if folder.is_dir() else None
    if parts is None:
        if split is not None:
            raise ConfigError(f"split={split}: videos={videos} is no folder with folders train, val and test in it")
        return videos
    there = {name: part for name, part in vars(parts).items() if part is not None}
    if split is None:
        raise ConfigError(f"videos={videos} is divided into {', '.join(there)}: give one of them as split=")
    check_choice("split", split, there)
    return there[split]


def _numbered_as(index: VideoIndex, names: Sequence[str]) -> VideoIndex:
    if not index.is_labelled:
        raise ConfigError(f"labels= names {len(names)} classes, and {index.paths[0]} and the others have no labels")
    return with_classes(index, names, len(names), "labels=")
