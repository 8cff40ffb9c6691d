"""Training batches: which video at which step, and the tf.data pipeline that decodes them side by side."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import tensorflow as tf

from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader
from mae.data.config import DataConfig
from mae.data.videos.decode import pin_threads
from mae.errors import BadVideo
from mae.seeds import generator

MakeMask = Callable[[np.random.Generator], np.ndarray]


@lru_cache(maxsize=4)  # clips of two epochs are in flight where one ends; more only for several pipelines
def epoch_order(seed: int, epoch: int, num_videos: int) -> np.ndarray:
    """The order in which an epoch visits the videos: a permutation of 0 … num_videos − 1, read-only."""
    order = generator(seed, "order", epoch).permutation(num_videos)
    order.setflags(write=False)
    return order


@dataclass(frozen=True)
class Schedule:
    """Which example stands where: a function of the run's seed, so a step looks the same before and after a resume.

    The videos that are left over when an epoch is cut into batches are not visited in that epoch.
    """

    seed: int
    num_videos: int
    batch_size: int  # global

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= self.num_videos:
            raise ValueError(f"batch_size={self.batch_size} must lie in [1, {self.num_videos}], the number of videos")

    def visit(self, step: int, position: int) -> tuple[int, int]:
        """(epoch, example) at a position of the global batch of a step, both from 0."""
        epoch, step_of_epoch = divmod(step, self.num_videos // self.batch_size)
        order = epoch_order(self.seed, epoch, self.num_videos)
        return epoch, int(order[step_of_epoch * self.batch_size + position])


def training_batches(
    reader: ClipReader,
    make_mask: MakeMask,
    bad_videos: BadVideos,
    *,
    seed: int,
    batch_size: int,
    first_step: int,
    num_steps: int,
    data: DataConfig,
    noise_width: int = 0,
    positions: range | None = None,
    replica_batch: int | None = None,
) -> tf.data.Dataset:
    """The batches of steps `first_step` … `first_step + num_steps − 1`; nothing before them is decoded.

    An unreadable video is noted in `bad_videos` and leaves a black clip with `valid` 0 in its place; no other
    video stands in for it. The caller asks `bad_videos.raise_if_too_many()`.

    Args:
        make_mask: gives one mask, (n,) bool, drawn from the generator.
        batch_size: clips of a step, over all replicas.
        noise_width: uniform numbers per clip for drop path; 0 for none.
        positions: the part of each step's batch this pipeline makes; all by default.
        replica_batch: clips of an element; consecutive elements belong to consecutive replicas. By default one
            element is one step.

    Returns:
        Elements `videos` (b, T, S, S, 3) uint8 RGB, `is_masked` (b, n) bool, `valid` (b,) float32, `example`
        (b,) int32, `decode_ms` (b,) float32 and, with `noise_width`, `path_noise` (b, noise_width) float32 in
        [0, 1). Side effect: OpenCV's own threads are switched off in this process.
    """
    positions = range(batch_size) if positions is None else positions
    replica_batch = len(positions) if replica_batch is None else replica_batch
    if replica_batch < 1 or len(positions) % replica_batch:
        raise ValueError(f"{len(positions)} positions cannot be cut into elements of {replica_batch}")
    pin_threads()
    schedule = Schedule(seed, len(reader.index.paths), batch_size)
    load = _clip_loader(reader, make_mask, bad_videos, seed, noise_width)
    signature = _signature(reader, make_mask, seed, noise_width)

    def load_place(place: np.ndarray) -> list[np.ndarray]:
        step, nth = divmod(int(place), len(positions))
        return load(*schedule.visit(first_step + step, positions[nth]))

    def element(place: tf.Tensor) -> dict[str, tf.Tensor]:
        # Python only calls; OpenCV and NumPy release the interpreter's lock for most of the work.
        values = tf.numpy_function(load_place, [place], [spec.dtype for spec in signature.values()], stateful=False)
        for value, spec in zip(values, signature.values(), strict=True):
            value.set_shape(spec.shape)
        return dict(zip(signature, values, strict=True))

    workers = data.workers or os.cpu_count() or 1
    places = tf.data.Dataset.range(num_steps * len(positions))
    clips = places.map(element, num_parallel_calls=workers, deterministic=True)
    batches = clips.batch(replica_batch, drop_remainder=True).prefetch(data.prefetch)
    return batches.with_options(_options(workers))


def _clip_loader(
    reader: ClipReader, make_mask: MakeMask, bad_videos: BadVideos, seed: int, noise_width: int
) -> Callable[[int, int], list[np.ndarray]]:
    """A function of (epoch, example) that gives the arrays of `_signature`."""
    spec = reader.spec
    clip_shape = (spec.num_frames, spec.image_size, spec.image_size, 3)

    def load(epoch: int, example: int) -> list[np.ndarray]:
        started = time.perf_counter()
        try:
            clip, valid = reader.training_clip(epoch, example), 1.0
        except BadVideo as error:
            bad_videos.record(reader.index.paths[example], str(error))
            clip, valid = np.zeros(clip_shape, np.uint8), 0.0
        decode_ms = 1000 * (time.perf_counter() - started)
        is_masked = make_mask(generator(seed, "mask", epoch, example))
        values = [clip, is_masked, np.float32(valid), np.int32(example), np.float32(decode_ms)]
        if noise_width:
            values.append(generator(seed, "drop path", epoch, example).random(noise_width, np.float32))
        return values

    return load


def _signature(reader: ClipReader, make_mask: MakeMask, seed: int, noise_width: int) -> dict[str, tf.TensorSpec]:
    """Name, shape and type of what one clip brings."""
    spec = reader.spec
    num_tokens = len(make_mask(generator(seed, "mask", 0, 0)))
    signature = {
        "videos": tf.TensorSpec((spec.num_frames, spec.image_size, spec.image_size, 3), tf.uint8),
        "is_masked": tf.TensorSpec((num_tokens,), tf.bool),
        "valid": tf.TensorSpec((), tf.float32),
        "example": tf.TensorSpec((), tf.int32),
        "decode_ms": tf.TensorSpec((), tf.float32),
    }
    if noise_width:
        signature["path_noise"] = tf.TensorSpec((noise_width,), tf.float32)
    return signature


def _options(workers: int) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False  # parallelism and buffers are what the config says
    options.threading.private_threadpool_size = workers
    # Every input pipeline is told its positions; sharding once more would lose clips.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
