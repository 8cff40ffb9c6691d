import numpy as np
import pytest
from numbered_frames import frame_numbers, numbered_frames

from mae.data.clips import ClipReader, ClipSpec
from mae.data.lists.index import VideoIndex
from mae.errors import BadVideo, ConfigError


def reader_of(paths, crop="multi_scale", seed=0, **sizes):
    spec = ClipSpec(**{"num_frames": 4, "frame_stride": 3, "image_size": 16, **sizes}, crop=crop)
    return ClipReader(VideoIndex(tuple(paths), None, None, ""), spec, seed)


def test_a_training_clip(make_video):
    reader = reader_of([make_video("a.avi", numbered_frames(60))])
    clip = reader.training_clip(epoch=0, example=0)
    assert clip.shape == (4, 16, 16, 3)
    assert clip.dtype == np.uint8
    numbers = frame_numbers(clip)
    assert np.diff(numbers).tolist() == [3, 3, 3]
    assert 0 <= numbers[0] <= 60 - 12


def test_time_depends_on_seed_epoch_and_example(make_video):
    path = make_video("a.avi", numbered_frames(80))
    visits = [(seed, epoch, example) for seed in (0, 1) for epoch in (0, 1) for example in (0, 1)]

    def clip_of(seed, epoch, example):
        return reader_of([path, path], seed=seed).training_clip(epoch, example)

    starts = [frame_numbers(clip_of(*visit))[0] for visit in visits]
    assert starts == [frame_numbers(clip_of(*visit))[0] for visit in visits]
    assert len(set(starts)) > 4


def test_crop_depends_on_the_epoch_and_moves_the_whole_clip(make_video):
    frames = np.random.default_rng(0).integers(0, 255, (1, 64, 96, 3), np.uint8).repeat(20, axis=0)
    path = make_video("noise.avi", frames)
    reader = reader_of([path])
    clips = [reader.training_clip(epoch, 0) for epoch in range(6)]
    assert all((clip == clip[:1]).all() for clip in clips)
    assert len({clip.tobytes() for clip in clips}) > 3
    centred = reader_of([path], crop="center")
    assert len({centred.training_clip(epoch, 0).tobytes() for epoch in range(6)}) == 1


def test_the_centre_clip(make_video):
    reader = reader_of([make_video("a.avi", numbered_frames(60))], seed=3)
    assert frame_numbers(reader.center_clip(0)) == [24, 27, 30, 33]
    np.testing.assert_array_equal(reader.center_clip(0), reader_of(reader.index.paths, seed=4).center_clip(0))


def test_a_short_video_repeats_its_last_frame(make_video):
    reader = reader_of([make_video("a.avi", numbered_frames(5))])
    assert frame_numbers(reader.training_clip(0, 0)) == [0, 3, 3, 3]
    assert frame_numbers(reader.center_clip(0)) == [0, 3, 3, 3]


def test_a_bad_video_raises(tmp_path):
    reader = reader_of([str(tmp_path / "absent.mp4")])
    with pytest.raises(BadVideo, match="missing"):
        reader.training_clip(0, 0)
    with pytest.raises(BadVideo, match="missing"):
        reader.center_clip(0)


def test_what_a_spec_refuses():
    with pytest.raises(ConfigError, match=r"dataset\.frame_stride=0 must be at least 1"):
        reader_of([], frame_stride=0)
    with pytest.raises(ConfigError, match=r"data\.crop 'centre' does not exist; did you mean 'center'"):
        reader_of([], crop="centre")
