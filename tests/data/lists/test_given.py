from pathlib import Path

import cv2
import pytest
from numbered_frames import numbered_frames
from written_videos import write_video

from mae.data.lists.given import given_video, given_videos
from mae.errors import ConfigError


@pytest.fixture
def videos(tmp_path):
    """A folder with two videos, one of them a directory of frames, by their paths."""
    video = write_video(tmp_path / "videos" / "a" / "one.avi", numbered_frames(4))
    frames = tmp_path / "videos" / "b" / "two"
    frames.mkdir(parents=True)
    for number, frame in enumerate(numbered_frames(3)):
        cv2.imwrite(str(frames / f"{number}.png"), frame)
    return tmp_path / "videos", video, str(frames)


def test_a_folder(videos):
    folder, one, two = videos
    given = given_videos("videos=", str(folder))
    assert (given.kind, given.path, given.base) == ("folder", folder, folder)
    assert given.index.paths == (one, two)
    assert given.index.class_names == ("a", "b")
    assert given.names == ("a/one.avi", "b/two")


@pytest.mark.parametrize("name", ["l.csv", "l.txt", "l.tsv", "l.lst", "l.list", "l.CSV", "l.Lst"])
def test_a_list_is_told_by_its_ending(videos, name):
    folder, one, two = videos
    (folder / name).write_text(f"b/two 1\n{one} 0\nelsewhere.avi 0\n/else/where.avi 0\n")
    given = given_videos("videos=", folder / name)
    assert (given.kind, given.path, given.base) == ("list", folder / name, folder)
    assert given.index.paths == (two, one, str(folder / "elsewhere.avi"), "/else/where.avi")
    assert given.index.labels == (1, 0, 0, 0)
    assert given.names == ("b/two", "a/one.avi", "elsewhere.avi", "/else/where.avi")


def test_the_root_of_a_list(videos, tmp_path, monkeypatch):
    folder, one, _ = videos
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "l.csv").write_text("one.avi\n")
    monkeypatch.chdir(tmp_path)
    given = given_videos("IN=", "lists/l.csv", root="videos/a")
    assert given.base == folder / "a"
    assert given.index.paths == (one,)
    assert given.names == ("one.avi",)


@pytest.mark.parametrize("name", ["x.avi", "x.zip", "x.unheard_of", "x", "x.json"])
def test_any_other_file_is_one_video(tmp_path, name):
    (tmp_path / name).write_bytes(b"whatever is in it")
    given = given_videos("video=", tmp_path / name)
    assert (given.kind, given.base, given.names) == ("video", tmp_path, (name,))
    assert given.index.paths == (str(tmp_path / name),)


def test_a_directory_of_frames_is_one_video(videos):
    folder, _, two = videos
    given = given_videos("video=", two)
    assert (given.kind, given.base, given.names) == ("video", folder / "b", ("two",))


def test_one_series_of_several(videos):
    folder, _, two = videos
    for number in range(2):
        cv2.imwrite(f"{two}/mask_{number}.png", numbered_frames(1)[0])
    given = given_videos("video=", f"{two}/mask_*")
    assert (given.kind, given.names) == ("video", ("mask_*",))
    assert given_videos("video=", two, frames="mask_*").index.paths == (f"{two}/mask_*",)
    assert given_videos("IN=", folder, frames="mask_*").names == ("a/one.avi", "b/two/mask_*")
    (folder / "l.csv").write_text("b/two\n")
    assert given_videos("IN=", folder / "l.csv", frames="mask_*").names == ("b/two/mask_*",)
    assert given_video("video=", two, "mask_*").paths == (f"{two}/mask_*",)
    for named in (folder, folder / "l.csv", two):
        with pytest.raises(
            ConfigError, match=r"several series of pictures, .* frames=\*.png says so for all, and a path"
        ):
            given_videos("IN=", named)
        with pytest.raises(ConfigError, match=r"which of them is the video\? a path in a list may end in /\*.png$"):
            given_videos("video=", named, frames_option=None)


def test_no_series_where_there_are_no_pictures(videos):
    _, one, two = videos
    for path in (one, f"{two}/*.png"):
        with pytest.raises(ConfigError, match=r"^frames=img_\* is for directories of pictures; video=\S+ is none$"):
            given_videos("video=", path, frames="img_*")
    write_video(Path(two, "orig.avi"), numbered_frames(2))
    assert given_videos("video=", two, frames="none").index.paths == (f"{two}/orig.avi",)


def test_one_video_where_one_is_wanted(videos):
    folder, one, two = videos
    assert given_video("video=", one).paths == (one,)
    assert given_video("video=", two).paths == (two,)
    with pytest.raises(ConfigError, match=r"video=\S+/videos is a folder; give one video"):
        given_video("video=", folder)
    (folder / "l.csv").write_text("a/one.avi\n")
    with pytest.raises(ConfigError, match=r"video=\S+/l.csv is a list; give one video"):
        given_video("video=", folder / "l.csv")


@pytest.mark.parametrize("name", ["absent", "absent.mp4", "absent.csv", "nul\0.mp4"])
def test_what_is_not_there(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"videos=\S+ does not exist; give a list \(\.csv .*\), a folder .* or one"):
        given_videos("videos=", name)


def test_a_folder_without_videos(tmp_path):
    with pytest.raises(ConfigError, match=r"^videos=\S+ holds no video; looked in it"):
        given_videos("videos=", tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("", "folder"), ("a/one.avi", "video"), ("b/two", "video")])
def test_a_root_without_a_list(videos, name, kind):
    with pytest.raises(ConfigError, match=rf"^root=/x is for lists; IN=\S+ is a {kind}$"):
        given_videos("IN=", videos[0] / name, root="/x")


def test_a_root_that_is_none(videos):
    (videos[0] / "l.csv").write_text("a/one.avi\n")
    with pytest.raises(ConfigError, match=r"^root=nowhere is not a directory"):
        given_videos("IN=", videos[0] / "l.csv", root="nowhere")
