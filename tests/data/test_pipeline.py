import gc
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from numbered_frames import frame_numbers, numbered_frames
from patience import PATIENCE

from mae.data.augment import CENTER
from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader, ClipSpec
from mae.data.extras import masks, path_noise
from mae.data.footprint import Footprint
from mae.data.lists.index import VideoIndex
from mae.data.one_ahead import one_ahead
from mae.data.pipeline import Portion, Schedule, epoch_order, training_batches
from mae.seeds import generator

NUM_VIDEOS = 7
BATCH = 2
TOKENS = 32
FIELDS = ("videos", "valid", "short", "example", "decode_ms", "is_masked", "path_noise")


def make_mask(rng):
    return rng.permutation(TOKENS) < 24


@pytest.fixture
def paths(make_video):
    """Videos of 20 frames, each in its own shade of blue over numbered grey."""
    paths = []
    for i in range(NUM_VIDEOS):
        frames = numbered_frames(20).copy()
        frames[..., 2] = 30 * i
        paths.append(make_video(f"{i}.avi", frames))
    return tuple(paths)


def reader_of(paths, clips_per_video=1):
    spec = ClipSpec(4, 2, 16, replace(CENTER, crop="multi_scale"), clips_per_video=clips_per_video)
    return ClipReader(VideoIndex(paths, None, None, ""), spec, seed=1)


@pytest.fixture
def reader(paths):
    return reader_of(paths)


def batches_of(reader, bad_videos=None, seed=1, **arguments):
    bad_videos = bad_videos or BadVideos(None, NUM_VIDEOS, 1.0)
    extras = {"is_masked": masks(lambda rng, _clip: make_mask(rng), seed), "path_noise": path_noise(3, seed)}
    given = {"batch_size": BATCH, "first_step": 0, "num_steps": 6, "positions": None, "workers": 2, "prefetch": 1}
    given |= arguments
    steps = range(given["first_step"], given["first_step"] + given["num_steps"])
    portion = Portion(given["batch_size"], steps, given["positions"])
    return training_batches(
        reader, extras, bad_videos, portion, seed=seed, workers=given["workers"], prefetch=given["prefetch"]
    )


def digests(batches):
    """One hash per batch over all that must be reproducible."""
    return [
        hashlib.sha256(b"".join(batch[name].tobytes() for name in FIELDS if name != "decode_ms")).hexdigest()
        for batch in batches
    ]


def test_a_batch(reader):
    (batch,) = batches_of(reader, num_steps=1)
    assert {name: (value.shape, value.dtype) for name, value in batch.items()} == {
        "videos": ((2, 4, 16, 16, 3), np.uint8),
        "valid": ((2,), np.float32),
        "short": ((2,), np.float32),
        "example": ((2,), np.int32),
        "decode_ms": ((2,), np.float32),
        "is_masked": ((2, TOKENS), np.bool_),
        "path_noise": ((2, 3, 2), np.float32),
    }
    assert batch["is_masked"].sum(axis=1).tolist() == [24, 24]
    assert batch["valid"].tolist() == [1, 1]
    assert batch["short"].tolist() == [0, 0]
    assert (batch["decode_ms"] > 0).all()
    assert ((batch["path_noise"] >= 0) & (batch["path_noise"] < 1)).all()


def test_every_part_belongs_to_its_example(reader):
    for step, batch in enumerate(list(batches_of(reader))):
        epoch = step // 3
        for p, example in enumerate(batch["example"].tolist()):
            assert example == epoch_order(1, epoch, NUM_VIDEOS)[step % 3 * BATCH + p]
            np.testing.assert_array_equal(batch["videos"][p], reader.training_clips(epoch, example)[0][0])
            assert (batch["videos"][p, ..., 2] == 30 * example).all()
            assert np.diff(frame_numbers(batch["videos"][p, ..., :1])).tolist() == [2, 2, 2]
            np.testing.assert_array_equal(batch["is_masked"][p], make_mask(generator(1, "mask", epoch, example)))
            noise = generator(1, "drop path", epoch, example).random((3, 2), np.float32)
            np.testing.assert_array_equal(batch["path_noise"][p], noise)


def test_same_batches_with_one_worker_and_more(reader):
    one, *more = [digests(batches_of(reader, workers=workers)) for workers in (1, 2, 8)]
    assert more == [one, one]


@pytest.mark.parametrize("first_step", [1, 3, 5])
def test_same_batches_after_a_resume_and_nothing_before_is_decoded(reader, first_step, monkeypatch):
    whole = digests(list(batches_of(reader)))
    visits = []
    monkeypatch.setattr(
        ClipReader,
        "training_clips",
        lambda self, *visit, read=ClipReader.training_clips: visits.append(visit) or read(self, *visit),
    )
    resumed = digests(list(batches_of(reader, first_step=first_step, num_steps=6 - first_step)))
    assert resumed == whole[first_step:]
    assert len(visits) == BATCH * (6 - first_step)


def test_another_seed_gives_other_batches(reader):
    assert digests(list(batches_of(reader, seed=2))) != digests(list(batches_of(reader)))


def joined(*parts):
    """Batches put together from parts of each."""
    return [
        {name: np.concatenate([part[name] for part in batch]) for name in FIELDS} for batch in zip(*parts, strict=True)
    ]


def test_processes_make_their_positions(reader):
    parts = [list(batches_of(reader, positions=range(i, i + 1))) for i in range(BATCH)]
    assert digests(joined(*parts)) == digests(list(batches_of(reader)))


def test_several_clips_of_each_video(paths):
    """Three videos a step, two clips of each; clips, masks and noise of the first are those of a single one."""
    reader = reader_of(paths, clips_per_video=2)
    batches = list(batches_of(reader, batch_size=6))
    singles = list(batches_of(reader_of(paths), batch_size=3))
    for batch, single in zip(batches, singles, strict=True):
        for name in ("videos", "example", "is_masked", "path_noise"):
            np.testing.assert_array_equal(batch[name][::2], single[name])
        np.testing.assert_array_equal(batch["example"][1::2], single["example"])
        assert (batch["is_masked"][1::2] != batch["is_masked"][::2]).any()
        assert (batch["path_noise"][1::2] != batch["path_noise"][::2]).all()
    assert any((batch["videos"][1::2] != batch["videos"][::2]).any() for batch in batches)
    assert digests(batches) == digests(list(batches_of(reader, batch_size=6, workers=1)))
    parts = [list(batches_of(reader, batch_size=6, positions=range(*r))) for r in ((0, 2), (2, 6))]
    assert digests(joined(*parts)) == digests(batches)
    assert digests(list(batches_of(reader, batch_size=6, first_step=4, num_steps=2))) == digests(batches[4:])
    with pytest.raises(ValueError, match="must be multiples of 2 clips"):
        batches_of(reader, batch_size=6, positions=range(3))


def test_each_example_once_an_epoch(reader):
    batches = list(batches_of(reader, num_steps=9))
    for epoch in range(3):
        seen = [int(e) for batch in batches[3 * epoch : 3 * epoch + 3] for e in batch["example"]]
        assert len(set(seen)) == 6, "one of seven is left over"
    orders = {tuple(epoch_order(1, epoch, NUM_VIDEOS).tolist()) for epoch in range(3)}
    assert len(orders) == 3


def test_the_schedule():
    schedule = Schedule(seed=3, num_videos=10, visits=4)
    order = [generator(3, "order", epoch).permutation(10).tolist() for epoch in range(2)]
    visits = [schedule.visit(step, p) for step in range(4) for p in range(4)]
    assert visits == [(0, e) for e in order[0][:8]] + [(1, e) for e in order[1][:8]]
    assert Schedule(3, 10, 10).visit(1, 9) == (1, order[1][9])
    with pytest.raises(ValueError, match=r"11 visits a step must lie in \[1, 10\]"):
        Schedule(3, 10, 11)


def test_an_order_is_read_only_and_cached():
    assert epoch_order(5, 0, 9) is epoch_order(5, 0, 9)
    with pytest.raises(ValueError, match="read-only"):
        epoch_order(5, 0, 9)[0] = 1


def test_a_bad_video_is_noted_and_nothing_stands_in_for_it(reader, tmp_path):
    good = list(batches_of(reader, num_steps=9))
    broken = 4
    with open(reader.index.paths[broken], "wb") as file:
        file.write(b"no video")
    bad_videos = BadVideos(tmp_path / "bad_videos.csv", NUM_VIDEOS, 1.0)
    batches = list(batches_of(reader, bad_videos, num_steps=9))
    met = 0
    for batch, expected in zip(batches, good, strict=True):
        is_broken = batch["example"] == broken
        met += int(is_broken.sum())
        np.testing.assert_array_equal(batch["valid"], np.where(is_broken, 0, 1))
        assert not batch["short"].any()
        assert not batch["videos"][is_broken].any()
        np.testing.assert_array_equal(batch["videos"][~is_broken], expected["videos"][~is_broken])
        np.testing.assert_array_equal(batch["is_masked"], expected["is_masked"])
    assert met >= 2
    header, line = (tmp_path / "bad_videos.csv").read_text().splitlines()
    assert header == "path,reason"
    assert line.startswith(f"{reader.index.paths[broken]},not a video that PyAV can open")
    assert bad_videos.count == 1


def test_arguments_that_do_not_fit(reader):
    with pytest.raises(ValueError, match="the number of videos"):
        batches_of(reader, batch_size=8)


class MadeUp(ClipReader):
    """Gives grey clips of no file, 48 kB each, after a while, and counts who asks for them."""

    def __init__(self, clips_per_video=1, seconds=0.0):
        spec = ClipSpec(4, 1, 64, clips_per_video=clips_per_video)
        super().__init__(VideoIndex(tuple(map(str, range(1000))), None, None, ""), spec, seed=1)
        self.shape = (clips_per_video, 4, 64, 64, 3)
        self.seconds = seconds
        self.lock = threading.Lock()
        self.begun = self.busy = self.most_busy = 0

    def training_clips(self, epoch, example):
        with self.lock:
            self.begun += 1
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        time.sleep(self.seconds)
        with self.lock:
            self.busy -= 1
        return np.full(self.shape, 127, np.uint8), np.zeros(self.shape[0], bool)


def test_no_more_is_begun_than_may_wait():
    """Three workers and prefetch 2: three visits and one batch of four here, beside the batch that was asked for."""
    reader = MadeUp(seconds=0.02)
    batches = batches_of(reader, batch_size=4, num_steps=9, workers=3, prefetch=2)
    for step in range(3):
        next(batches)
        may_be_begun = 4 * (step + 1) + 3 + 4
        ends = time.monotonic() + PATIENCE
        while reader.begun < may_be_begun and time.monotonic() < ends:
            time.sleep(0.01)
        time.sleep(0.1)  # time enough for one more
        assert reader.begun == may_be_begun
    assert reader.most_busy == 3


def test_memory_stays_within_the_footprint():
    """Consumed as a training on the CPU does, where handing a batch over copies it."""
    reader = MadeUp(clips_per_video=2, seconds=0.001)
    footprint = Footprint(reader.spec.clip_bytes, batch_size=24, clips_in_flight=3 * 2, prefetch=3)

    def hand_over(batch):
        copied = {name: value.copy() for name, value in batch.items()}
        time.sleep(0.1)  # time enough for all visits that may be made meanwhile
        return copied

    batches = batches_of(reader, batch_size=24, num_steps=8, workers=3, prefetch=3)
    tracemalloc.start()
    try:
        for batch in one_ahead(batches, hand_over):
            assert len(batch["videos"]) == 24
            time.sleep(0.05)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    few = 4 * reader.spec.clip_bytes  # what else Python holds
    assert footprint.bytes - few < peak < footprint.bytes + few


def test_what_a_reader_raises_is_raised_where_its_batch_would_have_come(reader, monkeypatch):
    broken = int(epoch_order(1, 0, NUM_VIDEOS)[3])
    read = ClipReader.training_clips

    def fail(self, epoch, example):
        if example == broken:
            raise RuntimeError("the disk is gone")
        return read(self, epoch, example)

    expected = digests(batches_of(reader, num_steps=1))
    monkeypatch.setattr(ClipReader, "training_clips", fail)
    batches = one_ahead(batches_of(reader), lambda batch: batch)
    assert digests([next(batches)]) == expected
    with pytest.raises(RuntimeError, match="the disk is gone"):
        next(batches)


@pytest.mark.parametrize("how", ["close", "let go"])
def test_an_iterator_that_is_left_begins_nothing_more(how):
    reader = MadeUp(seconds=0.05)
    batches = one_ahead(batches_of(reader, batch_size=4, num_steps=200, workers=2, prefetch=20), lambda batch: batch)
    next(batches)
    if how == "close":
        batches.close()
    del batches
    gc.collect()
    time.sleep(0.5)  # the batch that was begun is made
    begun = reader.begun
    time.sleep(0.3)
    assert reader.begun == begun < 30
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("one ahead", "grain-prefetch"))]


LEFT = """
import time
from contextlib import closing
from mae.data.one_ahead import one_ahead
from test_pipeline import MadeUp, batches_of

reader = MadeUp(seconds=0.2)
batches = batches_of(reader, batch_size=8, num_steps=1000, workers=2, prefetch=500)
with closing(one_ahead(batches, lambda batch: batch)) as ready:
    del batches
    next(ready)
    time.sleep(2)  # the next batch is made, too
    print("made", flush=True)
    raise {error}
"""


@pytest.mark.parametrize("error", ["SystemExit(3)", "KeyboardInterrupt", "ValueError"])
def test_visits_that_wait_do_not_keep_the_process_from_ending(error):
    """Those in the queue would take 400 s."""
    process = subprocess.Popen(
        [sys.executable, "-c", LEFT.format(error=error)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == "made\n"
    started = time.monotonic()
    _, errors = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - started < 100
    assert process.returncode == {"SystemExit(3)": 3, "KeyboardInterrupt": -signal.SIGINT, "ValueError": 1}[error]
    assert "jax" not in errors
    assert error == "SystemExit(3)" or errors.strip().splitlines()[-1] == error
