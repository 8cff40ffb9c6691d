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
from mae.data.extras import Extras
from mae.data.videos.read import keep_freed_memory, pin_threads
from mae.errors import BadVideo
from mae.seeds import generator


@lru_cache(maxsize=4)  # clips of two epochs are in flight where one ends; more only for several pipelines
def epoch_order(seed: int, epoch: int, num_videos: int) -> np.ndarray:
    """The order in which an epoch visits the videos: a permutation of 0 … num_videos − 1, read-only."""
    order = generator(seed, "order", epoch).permutation(num_videos)
    order.setflags(write=False)
    return order


@dataclass(frozen=True)
class Schedule:
    """Which video is visited when: a function of the run's seed, so a step looks the same before and after a resume.

    The videos that are left over when an epoch is cut into batches are not visited in that epoch.
    """

    seed: int
    num_videos: int
    visits: int  # of videos in a step, over all replicas

    def __post_init__(self) -> None:
        if not 1 <= self.visits <= self.num_videos:
            raise ValueError(f"{self.visits} visits a step must lie in [1, {self.num_videos}], the number of videos")

    def visit(self, step: int, position: int) -> tuple[int, int]:
        """(epoch, example) of the video visited at a position of a step, both from 0."""
        epoch, step_of_epoch = divmod(step, self.num_videos // self.visits)
        order = epoch_order(self.seed, epoch, self.num_videos)
        return epoch, int(order[step_of_epoch * self.visits + position])


def training_batches(
    reader: ClipReader,
    extras: Extras,
    bad_videos: BadVideos,
    *,
    seed: int,
    batch_size: int,
    first_step: int,
    num_steps: int,
    workers: int,
    prefetch: int,
    positions: range | None = None,
    replica_batch: int | None = None,
) -> tf.data.Dataset:
    """The batches of steps `first_step` … `first_step + num_steps − 1`; nothing before them is decoded.

    A visit of a video makes `reader.spec.clips_per_video` consecutive clips of a batch from one decoding pass.

    An unreadable video is noted in `bad_videos` and leaves black clips with `valid` 0 in its place; no other
    video stands in for it. The caller asks `bad_videos.raise_if_too_many()`.

    Args:
        extras: name and maker of what a clip brings besides its pixels.
        batch_size: clips of a step, over all replicas.
        workers: visits made at the same time; 0: one per CPU core.
        prefetch: elements kept ready.
        positions: the part of each step's batch this pipeline makes, whole visits; all by default.
        replica_batch: clips of an element, whole visits; consecutive elements belong to consecutive replicas. By
            default one element is one step.

    Returns:
        Elements `videos` (b, T, S, S, 3) uint8 RGB, `valid` (b,) float32, `example` (b,) int32, `decode_ms` (b,)
        float32 (a visit's time shared by its clips) and the extras (b, …). Side effect: OpenCV's own threads are
        switched off in this process.
    """
    clips = reader.spec.clips_per_video
    positions = range(batch_size) if positions is None else positions
    replica_batch = len(positions) if replica_batch is None else replica_batch
    if replica_batch < 1 or len(positions) % replica_batch:
        raise ValueError(f"{len(positions)} positions cannot be cut into elements of {replica_batch}")
    if any(number % clips for number in (batch_size, positions.start, len(positions), replica_batch)):
        raise ValueError(f"batch_size={batch_size}, {positions} and {replica_batch} must be multiples of {clips} clips")
    pin_threads()
    keep_freed_memory()
    schedule = Schedule(seed, len(reader.index.paths), batch_size // clips)
    visits = range(positions.start // clips, positions.stop // clips)
    load = _visit_loader(reader, extras, bad_videos)
    signature = _signature(reader, extras)

    def load_place(place: np.ndarray) -> list[np.ndarray]:
        step, nth = divmod(int(place), len(visits))
        return load(*schedule.visit(first_step + step, visits[nth]))

    def visit(place: tf.Tensor) -> dict[str, tf.Tensor]:
        # Python only calls; OpenCV and NumPy release the interpreter's lock for most of the work.
        values = tf.numpy_function(load_place, [place], [spec.dtype for spec in signature.values()], stateful=False)
        for value, spec in zip(values, signature.values(), strict=True):
            value.set_shape((clips, *spec.shape))
        return dict(zip(signature, values, strict=True))

    def join(element: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """(visits, clips, …) → (visits · clips, …)."""
        return {name: tf.reshape(value, (replica_batch, *value.shape[2:])) for name, value in element.items()}

    workers = workers or os.cpu_count() or 1
    places = tf.data.Dataset.range(num_steps * len(visits))
    loaded = places.map(visit, num_parallel_calls=workers, deterministic=True)
    batches = loaded.batch(replica_batch // clips, drop_remainder=True).map(join).prefetch(prefetch)
    return batches.with_options(_options(workers))


def _visit_loader(reader: ClipReader, extras: Extras, bad_videos: BadVideos) -> Callable[[int, int], list[np.ndarray]]:
    """A function of (epoch, example) that gives the arrays of `_signature`, stacked over the clips of the visit."""
    spec = reader.spec
    clips = spec.clips_per_video
    shape = (clips, spec.num_frames, spec.image_size, spec.image_size, 3)

    def load(epoch: int, example: int) -> list[np.ndarray]:
        started = time.perf_counter()
        try:
            videos, valid = reader.training_clips(epoch, example), 1.0
        except BadVideo as error:
            bad_videos.record(reader.index.paths[example], str(error))
            videos, valid = np.zeros(shape, np.uint8), 0.0
        decode_ms = 1000 * (time.perf_counter() - started) / clips
        same_for_all = (np.float32(valid), np.int32(example), np.float32(decode_ms))
        more = [np.stack([extra(epoch, example, clip) for clip in range(clips)]) for extra in extras.values()]
        return [videos, *(np.full(clips, value) for value in same_for_all), *more]

    return load


def _signature(reader: ClipReader, extras: Extras) -> dict[str, tf.TensorSpec]:
    """Name, shape and type of what one clip brings."""
    spec = reader.spec
    samples = {name: np.asarray(extra(0, 0, 0)) for name, extra in extras.items()}
    return {
        "videos": tf.TensorSpec((spec.num_frames, spec.image_size, spec.image_size, 3), tf.uint8),
        "valid": tf.TensorSpec((), tf.float32),
        "example": tf.TensorSpec((), tf.int32),
        "decode_ms": tf.TensorSpec((), tf.float32),
        **{name: tf.TensorSpec(sample.shape, sample.dtype) for name, sample in samples.items()},
    }


def _options(workers: int) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False  # parallelism and buffers are what the config says
    options.threading.private_threadpool_size = workers
    # Every input pipeline is told its positions; sharding once more would lose clips.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
