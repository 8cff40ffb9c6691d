from dataclasses import replace

import numpy as np
import pytest
from numbered_frames import frame_numbers, numbered_frames
from whole_clips import crop_clip

from mae.data import clips
from mae.data.augment import CENTER
from mae.data.clips import ClipReader, ClipSpec, TestViews
from mae.data.lists.index import VideoIndex
from mae.data.transforms.crops import view_crops
from mae.errors import BadVideo, ConfigError

MULTI_SCALE = replace(CENTER, crop="multi_scale")


def reader_of(paths, augmentation=MULTI_SCALE, seed=0, segments=None, strides=None, **values):
    spec = ClipSpec(**{"num_frames": 4, "frame_stride": 3, "image_size": 16, "augmentation": augmentation, **values})
    return ClipReader(VideoIndex(tuple(paths), None, None, "", segments, strides), spec, seed)


def training_clip(reader, epoch, example):
    (clip,), _ = reader.training_clips(epoch, example)
    return clip


def test_a_training_clip(make_video):
    reader = reader_of([make_video("a.avi", numbered_frames(60))])
    clip = training_clip(reader, epoch=0, example=0)
    assert clip.shape == (4, 16, 16, 3)
    assert clip.dtype == np.uint8
    numbers = frame_numbers(clip)
    assert np.diff(numbers).tolist() == [3, 3, 3]
    assert 0 <= numbers[0] <= 60 - 12


def test_time_depends_on_seed_epoch_and_example(make_video):
    path = make_video("a.avi", numbered_frames(80))
    visits = [(seed, epoch, example) for seed in (0, 1) for epoch in (0, 1) for example in (0, 1)]

    def clip_of(seed, epoch, example):
        return training_clip(reader_of([path, path], seed=seed), epoch, example)

    starts = [frame_numbers(clip_of(*visit))[0] for visit in visits]
    assert starts == [frame_numbers(clip_of(*visit))[0] for visit in visits]
    assert len(set(starts)) > 4


@pytest.fixture
def noise_video(make_video):
    """Twenty times the same noise, and the noise."""
    frames = np.random.default_rng(0).integers(0, 255, (1, 64, 96, 3), np.uint8).repeat(20, axis=0)
    return make_video("noise.avi", frames), frames


def test_crop_depends_on_the_epoch_and_moves_the_whole_clip(noise_video):
    path, _ = noise_video
    reader = reader_of([path])
    made = [training_clip(reader, epoch, 0) for epoch in range(6)]
    assert all((clip == clip[:1]).all() for clip in made)
    assert len({clip.tobytes() for clip in made}) > 3
    centred = reader_of([path], CENTER)
    assert len({training_clip(centred, epoch, 0).tobytes() for epoch in range(6)}) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"flip": True},
        {"crop": "random_resized"},
        {"brightness": 0.8},
        {"rand_augment": "rand-m9-n4-mstd0.5-inc1"},
        {"erase_probability": 1.0},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_augmentation_is_done_to_all_frames_alike(noise_video, changed):
    path, frames = noise_video
    plain = training_clip(reader_of([path], CENTER, image_size=64), 0, 0)
    np.testing.assert_array_equal(plain[0], frames[0, :, 16:80])
    reader = reader_of([path], replace(CENTER, **changed), image_size=64)
    made = [training_clip(reader, epoch, 0) for epoch in range(8)]
    assert all((clip == clip[:1]).all() for clip in made)
    assert any((clip != plain).any() for clip in made)
    np.testing.assert_array_equal(training_clip(reader, 3, 0), made[3])
    if changed == {"flip": True}:
        is_flipped = [(clip == plain[:, :, ::-1]).all() for clip in made]
        assert {True, False} == {bool(flipped) for flipped in is_flipped}
        assert all(flipped or (clip == plain).all() for flipped, clip in zip(is_flipped, made, strict=True))


@pytest.mark.parametrize(("resize", "inside"), [("crop", 1.0), ("letterbox", 2 / 3), ("stretch", 1.0)])
def test_videos_of_another_aspect(noise_video, resize, inside):
    """Of 64 × 96 pixels: in training, in the middle and in a test."""
    path, frames = noise_video
    reader = reader_of([path], image_size=(32, 32), resize=resize)
    middle = reader.center_clip(0)
    expected = crop_clip(frames[:4], view_crops(64, 96, (32, 32), 1, resize)[0])
    np.testing.assert_array_equal(middle, expected)
    tested = reader.test_clips(0, TestViews("dense", clips=1, crops=3))
    for clip in (training_clip(reader, 0, 0), middle, *tested):
        assert np.mean(clip.max(axis=(0, 2, 3)) > 0) == pytest.approx(inside, abs=0.04)
    assert (len({clip.tobytes() for clip in tested}) == 1) == (resize != "crop")
    with pytest.raises(ConfigError, match=r"data\.resize 'pad' does not exist"):
        reader_of([path], resize="pad")


def test_the_centre_clip(make_video):
    reader = reader_of([make_video("a.avi", numbered_frames(60))], seed=3)
    assert frame_numbers(reader.center_clip(0)) == [24, 27, 30, 33]
    np.testing.assert_array_equal(reader.center_clip(0), reader_of(reader.index.paths, seed=4).center_clip(0))


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ("videomae_dense", [24, 27, 30, 33]),  # 60 frames, a span of 12: starts up to 48
        ("tsn_segments", [7, 22, 37, 52]),  # segments of 15 frames
        ("tsn_midpoints", [7, 22, 37, 52]),
    ],
)
def test_the_centre_clip_is_of_the_kind_a_model_is_trained_on(sampler, expected, make_video):
    reader = reader_of([make_video("a.avi", numbered_frames(60))], sampler=sampler)
    assert frame_numbers(reader.center_clip(0)) == expected


def test_a_short_video_repeats_its_last_frame(make_video):
    reader = reader_of([make_video("a.avi", numbered_frames(5))])
    assert frame_numbers(training_clip(reader, 0, 0)) == [0, 3, 3, 3]
    assert frame_numbers(reader.center_clip(0)) == [0, 3, 3, 3]


def test_what_a_short_video_gives_is_chosen(make_video):
    path = make_video("a.avi", numbered_frames(5))
    assert frame_numbers(training_clip(reader_of([path], short_clip="loop"), 0, 0)) == [0, 3, 1, 4]
    with pytest.raises(BadVideo, match="5 frames, shorter than a clip of 10"):
        reader_of([path], short_clip="skip").training_clips(0, 0)


@pytest.mark.parametrize(
    ("sampler", "short_clip", "frames", "is_short"),
    [
        ("dense_stride", "repeat_last", 10, False),  # 0 3 6 9
        ("dense_stride", "repeat_last", 9, True),  # 0 3 6 6
        ("dense_stride", "loop", 9, True),  # 0 3 6 0
        ("videomae_dense", "repeat_last", 12, False),  # 0 4 8 11
        ("videomae_dense", "repeat_last", 11, True),  # 0 5 10 10
        ("videomae_dense", "loop", 5, True),  # 0 4 3 1
        ("tsn_segments", "repeat_last", 4, False),  # 0 1 2 3
        ("tsn_segments", "repeat_last", 3, True),  # 0 0 1 2
        ("tsn_midpoints", "repeat_last", 3, True),  # 0 1 1 2
    ],
)
def test_which_videos_are_too_short_for_their_clip(sampler, short_clip, frames, is_short, make_video):
    reader = reader_of([make_video("a.avi", numbered_frames(frames))], sampler=sampler, short_clip=short_clip)
    assert reader.training_clips(0, 0)[1].tolist() == [is_short]


@pytest.mark.parametrize("sampler", ["videomae_dense", "tsn_segments", "tsn_midpoints"])
def test_samplers_by_name(make_video, sampler):
    numbers = frame_numbers(training_clip(reader_of([make_video("a.avi", numbered_frames(40))], sampler=sampler), 0, 0))
    if sampler == "tsn_midpoints":
        assert numbers == [5, 15, 25, 35]
    elif sampler == "tsn_segments":
        assert [number // 10 for number in numbers] == [0, 1, 2, 3]
    else:
        assert np.diff(numbers).tolist() == [4, 4, 3]  # 4 even ones over a span of 12, both ends included, cut


def test_clips_of_one_visit_come_from_one_decoding_pass(make_video, monkeypatch):
    path = make_video("a.avi", numbered_frames(80))
    passes = []
    read = clips.read_frames
    monkeypatch.setattr(clips, "read_frames", lambda *a: passes.append(a[0]) or read(*a))
    made, _ = reader_of([path], clips_per_video=4).training_clips(2, 0)
    assert passes == [path]
    assert made.shape == (4, 4, 16, 16, 3)
    starts = [frame_numbers(clip)[0] for clip in made]
    assert all(np.diff(frame_numbers(clip)).tolist() == [3, 3, 3] for clip in made)
    assert len(set(starts)) > 1
    np.testing.assert_array_equal(made[0], training_clip(reader_of([path]), 2, 0))
    np.testing.assert_array_equal(made[:2], reader_of([path], clips_per_video=2).training_clips(2, 0)[0])


def test_each_clip_of_a_visit_has_its_own_crop(noise_video):
    path, _ = noise_video
    made, _ = reader_of([path], clips_per_video=4).training_clips(0, 0)
    assert len({clip.tobytes() for clip in made}) > 2


def test_test_views(make_video):
    """Five dense clips of 40 frames at stride 3: 14 frames of which four neighbours, from 0, 2, 5, 7 and 10 on."""
    levels = numbered_frames(40, height=32, width=64).copy()
    levels[:, :, :16] = 200  # left in the first crop only
    reader = reader_of([make_video("a.avi", levels)], image_size=32)
    views = reader.test_clips(0, TestViews("dense", clips=5, crops=3))
    assert views.shape == (15, 4, 32, 32, 3)
    starts = [0, 6, 15, 21, 30]
    assert [int(view[0, 0, -1, 0]) // 3 for view in views] == [s for s in starts for _ in range(3)]
    assert [bool((view[:, :, 0] == 200).all()) for view in views] == 5 * [True, False, False]
    np.testing.assert_array_equal(views, reader_of(reader.index.paths, image_size=32, seed=9).test_clips(
        0, TestViews("dense", clips=5, crops=3)
    ))  # fmt: skip


def test_segments_of_a_video(make_video):
    """Ten frames a second: from 1.5 s to 4 s are the frames 15 to 39."""
    path = make_video("a.avi", numbered_frames(60))
    reader = reader_of([path, path], segments=((1.5, 4.0), None))
    assert frame_numbers(reader.center_clip(0)) == [21, 24, 27, 30]
    assert frame_numbers(reader.center_clip(1)) == [24, 27, 30, 33]
    for epoch in range(20):
        numbers = frame_numbers(training_clip(reader, epoch, 0))
        assert numbers[0] >= 15
        assert numbers[-1] < 40


def test_the_stride_of_a_video_is_that_of_its_line_or_the_data_sets(make_video):
    """Sixty frames; four at stride 2 span 8 of them, so the middle clip begins at 26; at stride 3, at 24."""
    path = make_video("a.avi", numbered_frames(60))
    reader = reader_of([path] * 3, strides=(2, None, 5), clips_per_video=2)
    assert [frame_numbers(reader.center_clip(example)) for example in range(3)] == [
        [26, 28, 30, 32],
        [24, 27, 30, 33],
        [20, 25, 30, 35],
    ]
    for example, stride in enumerate((2, 3, 5)):
        for clip in reader.training_clips(0, example)[0]:
            assert np.diff(frame_numbers(clip)).tolist() == 3 * [stride]
        (view,) = reader.test_clips(example, TestViews("dense", clips=1, crops=1))
        assert np.diff(frame_numbers(view)).tolist() == 3 * [stride]
    part = ClipReader(reader.index.part([2]), reader.spec, seed=0)
    assert frame_numbers(part.center_clip(0)) == [20, 25, 30, 35]


def test_a_bad_video_raises(tmp_path):
    reader = reader_of([str(tmp_path / "absent.mp4")])
    with pytest.raises(BadVideo, match="missing"):
        reader.training_clips(0, 0)
    with pytest.raises(BadVideo, match="missing"):
        reader.center_clip(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frame_stride": 0}, r"dataset\.frame_stride=0 must be at least 1"),
        ({"sampler": "dense"}, r"data\.sampler 'dense' does not exist; did you mean"),
        ({"short_clip": "repeat"}, r"data\.short_clip 'repeat' does not exist; did you mean 'repeat_last'"),
        ({"clips_per_video": 0}, r"data\.clips_per_video=0 must be at least 1"),
    ],
)
def test_what_a_spec_refuses(values, message):
    with pytest.raises(ConfigError, match=message):
        reader_of([], **values)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"crop": "centre"}, r"augment\.crop 'centre' does not exist; did you mean 'center'"),
        ({"rand_augment": "rand-w1"}, "RandAugment 'rand-w1' cannot be read"),
        ({"erase_probability": 1.5}, r"augment\.erase_probability=1\.5 must lie in"),
        ({"hue": 0.6}, "hue=0.6 must be at least 0 and at most 0.5"),
    ],
)
def test_what_an_augmentation_refuses(changed, message):
    with pytest.raises(ConfigError, match=message):
        replace(CENTER, **changed)


@pytest.mark.parametrize(("values", "message"), [(("dense", 0, 3), "clips=0"), (("tsn", 2, 3), "test.sampler 'tsn'")])
def test_what_views_refuse(values, message):
    with pytest.raises(ConfigError, match=message):
        TestViews(*values)


@pytest.fixture
def moving_in_the_end(make_video):
    """Sixty frames of noise, one square of which jumps from frame 50 on."""
    frames = np.random.default_rng(0).integers(0, 100, (1, 64, 64, 3), np.uint8).repeat(60, axis=0)
    for frame in range(50, 60):
        frames[frame, 20:44, 10 * (frame % 5) : 10 * (frame % 5) + 10] = 250
    return make_video("end.avi", frames), frames


def test_of_several_windows_the_one_that_moves_most_is_taken(moving_in_the_end):
    """A window of 4 frames at stride 3 reaches the end from frame 41 on, which 8 of 49 do: most clips stand still."""
    path, _ = moving_in_the_end

    def moving(candidates):
        reader = reader_of([path], CENTER, motion_candidates=candidates)
        clips = [training_clip(reader, epoch, 0).astype(int) for epoch in range(12)]
        return [np.abs(np.diff(clip, axis=0)).mean() for clip in clips]

    alone, chosen = moving(1), moving(30)
    assert sum(moved > 0 for moved in alone) < 6
    assert all(moved > 0 for moved in chosen)
    assert all(more >= less for more, less in zip(chosen, alone, strict=True))  # the first candidate is that clip
    assert moving(30) == chosen


def test_each_clip_of_a_visit_has_its_own_candidates(moving_in_the_end):
    path, _ = moving_in_the_end
    made, is_short = reader_of([path], clips_per_video=2, motion_candidates=5).training_clips(0, 0)
    first, _ = reader_of([path], motion_candidates=5).training_clips(0, 0)
    assert made.shape == (2, 4, 16, 16, 3)
    assert is_short.tolist() == [False, False]
    np.testing.assert_array_equal(made[0], first[0])
    assert (made[0] != made[1]).any()


def test_candidates_of_one_frame_are_refused():
    with pytest.raises(ConfigError, match="motion_candidates=2 compares frames, and num_frames=1: give 2 or more"):
        ClipSpec(1, 1, 16, motion_candidates=2)
