import numpy as np
import pytest
from numbered_frames import frame_numbers, numbered_frames
from whole_clips import crop_clip
from written_videos import write_video

from mae.data import windows
from mae.data.sampling import dense_stride_center
from mae.data.transforms.crops import view_crops
from mae.data.windows import ClipPlan, read_part, read_videos
from mae.errors import BadVideo, ConfigError


@pytest.mark.parametrize(
    ("clips", "end", "expected"),
    [
        (1, 20, [[6, 8, 10, 12]]),  # span 8, latest start 12
        (3, 20, [[0, 2, 4, 6], [6, 8, 10, 12], [12, 14, 16, 18]]),
        (2, 8, [[0, 2, 4, 6], [0, 2, 4, 6]]),
        (1, 5, [[0, 2, 4, 4]]),
        (2, 1, [[0, 0, 0, 0], [0, 0, 0, 0]]),
    ],
)
def test_clips_by_hand(clips, end, expected):
    np.testing.assert_array_equal(ClipPlan(4, 2, clips).clips_of(0, end), expected)
    np.testing.assert_array_equal(ClipPlan(4, 2, clips).clips_of(100, 100 + end), np.array(expected) + 100)


@pytest.mark.parametrize(
    ("clips", "end", "expected"),
    [
        (1, 20, [[2, 7, 12, 17]]),  # segments 0-4, 5-9, 10-14, 15-19
        (2, 20, [[2, 7, 12, 17], [0, 5, 10, 15]]),
        (2, 10, [[1, 3, 6, 8], [0, 2, 5, 7]]),  # ⌊(2i + 1) · 10 / 8⌋ and ⌊i · 10 / 4⌋
        (1, 2, [[0, 0, 1, 1]]),
    ],
)
def test_segments_by_hand(clips, end, expected):
    plan = ClipPlan(4, 2, clips, sampler="segments")
    np.testing.assert_array_equal(plan.clips_of(0, end), expected)
    np.testing.assert_array_equal(plan.clips_of(100, 100 + end), np.array(expected) + 100)


@pytest.mark.parametrize("count", [1, 7, 63, 64, 65, 300])
def test_a_single_clip_is_that_of_the_validation(count):
    np.testing.assert_array_equal(ClipPlan(16, 4, 1).clips_of(0, count)[0], dense_stride_center(count, 16, 4))


@pytest.mark.parametrize(
    ("window", "stride", "count", "expected"),
    [
        (None, None, 50, [[0, 50]]),
        (2.0, None, 50, [[0, 20], [20, 40], [30, 50]]),
        (2.0, None, 40, [[0, 20], [20, 40]]),
        (2.0, 1.5, 50, [[0, 20], [15, 35], [30, 50]]),
        (2.0, None, 12, [[0, 12]]),
        (None, 1.0, 30, [[0, 8], [10, 18], [20, 28], [22, 30]]),  # as long as a clip: 4 frames at stride 2
    ],
)
def test_windows_by_hand(window, stride, count, expected):
    made = ClipPlan(4, 2, 1, window, stride).windows(count, 10.0)
    np.testing.assert_array_equal(made, expected)


def test_windows_need_a_frame_rate():
    with pytest.raises(BadVideo, match="states no frame rate"):
        ClipPlan(4, 2, 1, 2.0).windows(50, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"clips": 0}, "clips=0"), ({"frame_stride": 0}, "frame_stride=0"), ({"window": 0.0}, "window=0 must"),
     ({"stride": -1.0}, "stride=-1 must"), ({"sampler": "tsn"}, "sampler 'tsn' does not exist"),
     ({"sampler": "segments", "clips": 3}, "clips=3: there are 2 by segments")],
)  # fmt: skip
def test_wrong_plans(changes, message):
    with pytest.raises(ConfigError, match=message):
        ClipPlan(**{"num_frames": 4, "frame_stride": 2, "clips": 1, **changes})


def test_clips_are_the_planned_frames(tmp_path):
    path = write_video(tmp_path / "a.avi", numbered_frames(30))
    part = read_part(path, ClipPlan(4, 2, clips=3), (16, 16))
    assert part.clips.shape == (1, 3, 4, 16, 16, 3)
    assert [frame_numbers(clip) for clip in part.clips[0]] == part.frames[0].tolist()
    assert part.frames[0].tolist() == [[0, 2, 4, 6], [11, 13, 15, 17], [22, 24, 26, 28]]
    assert part.frames_per_second == 10
    np.testing.assert_allclose(part.seconds(part.windows), [[0, 3]])
    assert not part.more


def test_a_clip_is_the_centre_of_the_picture(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 20, 3), "uint8")
    part = read_part(write_video(tmp_path / "a.avi", frames), ClipPlan(4, 1, 1), (16, 16))
    np.testing.assert_array_equal(part.clips[0, 0], crop_clip(frames, view_crops(16, 20, (16, 16), 1)[0]))
    part = read_part(str(tmp_path / "a.avi"), ClipPlan(4, 1, 1), (8, 16), resize="stretch")
    np.testing.assert_array_equal(part.clips[0, 0], crop_clip(frames, view_crops(16, 20, (8, 16), 1, "stretch")[0]))


def test_a_long_video_comes_in_parts(tmp_path, monkeypatch):
    paths = [write_video(tmp_path / f"{i}.avi", numbered_frames(count)) for i, count in enumerate((55, 12))]
    plan = ClipPlan(4, 1, 1, window=1.0)
    whole = [part for _, part in read_videos(paths, plan, (16, 16))]
    monkeypatch.setattr(windows, "PART_BYTES", 2 * 4 * 16 * 16 * 3)  # two windows
    made = list(read_videos(paths, plan, (16, 16)))
    assert [number for number, _ in made] == [0, 0, 0, 1]
    assert [part.more for _, part in made] == [True, True, False, False]
    for number, expected in enumerate(whole):
        parts = [part for i, part in made if i == number]
        np.testing.assert_array_equal(np.concatenate([part.clips for part in parts]), expected.clips)
        np.testing.assert_array_equal(np.concatenate([part.windows for part in parts]), expected.windows)
    assert len(whole[0].windows) == 6


def test_unreadable_videos_have_their_place(tmp_path):
    (tmp_path / "b.avi").write_text("no video")
    paths = [write_video(tmp_path / "a.avi", numbered_frames(8)), str(tmp_path / "b.avi"), str(tmp_path / "c.avi")]
    paths += [str(tmp_path / "\udcff.avi"), str(tmp_path), paths[0]]
    made = list(read_videos(paths, ClipPlan(4, 1, 1), (16, 16)))
    assert [number for number, _ in made] == list(range(6))
    reasons = [str(part) if isinstance(part, BadVideo) else None for _, part in made]
    assert reasons[0] is None
    assert reasons[5] is None
    assert reasons[1].startswith("not a video that PyAV can open")
    assert reasons[2] == "missing"
    assert all(reasons[1:5])
