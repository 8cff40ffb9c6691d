import numpy as np
import pytest
from numbered_frames import frame_numbers, numbered_frames
from written_videos import write_video

from mae.data.transforms.crops import crop_clip, view_crops
from mae.errors import BadVideo, ConfigError
from mae.evaluation import video_clips
from mae.evaluation.video_clips import given_videos, read_part, read_videos
from mae.evaluation.windows import ClipPlan


def test_clips_are_the_planned_frames(tmp_path):
    path = write_video(tmp_path / "a.avi", numbered_frames(30))
    part = read_part(path, ClipPlan(4, 2, clips=3), 16)
    assert part.clips.shape == (1, 3, 4, 16, 16, 3)
    assert [frame_numbers(clip) for clip in part.clips[0]] == part.frames[0].tolist()
    assert part.frames[0].tolist() == [[0, 2, 4, 6], [11, 13, 15, 17], [22, 24, 26, 28]]
    assert part.frames_per_second == 10
    np.testing.assert_allclose(part.seconds(part.windows), [[0, 3]])
    assert not part.more


def test_a_clip_is_the_centre_of_the_picture(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 20, 3), "uint8")
    part = read_part(write_video(tmp_path / "a.avi", frames), ClipPlan(4, 1, 1), 16)
    np.testing.assert_array_equal(part.clips[0, 0], crop_clip(frames, view_crops(*frames.shape[1:3], 16, 1)[0]))


def test_a_long_video_comes_in_parts(tmp_path, monkeypatch):
    paths = [write_video(tmp_path / f"{i}.avi", numbered_frames(count)) for i, count in enumerate((55, 12))]
    plan = ClipPlan(4, 1, 1, window=1.0)
    whole = [part for _, part in read_videos(paths, plan, 16)]
    monkeypatch.setattr(video_clips, "PART_BYTES", 2 * 4 * 16 * 16 * 3)  # two windows
    made = list(read_videos(paths, plan, 16))
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
    made = list(read_videos(paths, ClipPlan(4, 1, 1), 16))
    assert [number for number, _ in made] == list(range(6))
    reasons = [str(part) if isinstance(part, BadVideo) else None for _, part in made]
    assert reasons[0] is None
    assert reasons[5] is None
    assert reasons[1].startswith("not a video that OpenCV can open")
    assert reasons[2] == "missing"
    assert all(reasons[1:5])


def test_a_file_a_folder_or_a_list(tmp_path):
    a, b = (write_video(tmp_path / name, numbered_frames(4)) for name in ("x/a.avi", "y/b.avi"))
    assert given_videos(a).names == ("a.avi",)
    assert given_videos(str(tmp_path)).names == ("x/a.avi", "y/b.avi")
    (tmp_path / "list.csv").write_text(f"y/b.avi 1\n{a} 0\n")
    given = given_videos(str(tmp_path / "list.csv"))
    assert given.paths == (b, a)
    assert given.names == ("y/b.avi", "x/a.avi")
    assert given_videos(str(tmp_path / "missing.mp4")).names == ("missing.mp4",)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no video"):
        given_videos(str(tmp_path / "empty"))
