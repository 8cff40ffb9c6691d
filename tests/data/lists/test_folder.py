import os
import shutil

import pytest
from encoded_videos import write_song
from list_files import message_of, names_of, touch
from numbered_frames import numbered_frames
from written_videos import write_video

from mae.data.lists import folder
from mae.data.lists.endings import without_extension
from mae.data.lists.folder import index_folder
from mae.data.lists.found import find_below


def test_directories_are_classes(tmp_path):
    touch(tmp_path, "walk/b.mp4", "walk/a.MP4", "run/x/y/c.mkv", "run/notes.txt", ".cache/d.mp4", "walk/._a.mp4")
    (tmp_path / "empty").mkdir()
    index = index_folder(tmp_path)
    assert names_of(index, tmp_path) == ["run/x/y/c.mkv", "walk/a.MP4", "walk/b.mp4"]
    assert index.labels == (0, 1, 1)
    assert index.class_names == ("run", "walk")
    assert all(os.path.isabs(path) for path in index.paths)


def test_a_video_outside_a_directory_means_no_labels(tmp_path):
    touch(tmp_path, "walk/a.mp4", "b.webm")
    index = index_folder(str(tmp_path))
    assert names_of(index, tmp_path) == ["b.webm", "walk/a.mp4"]
    assert index.labels is None
    assert index.class_names is None


def test_links_are_followed_and_loops_end(tmp_path):
    touch(tmp_path / "elsewhere", "a.mp4")
    (tmp_path / "root" / "real").mkdir(parents=True)
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "real" / "up").symlink_to(tmp_path / "root")
    assert names_of(index_folder(tmp_path / "root"), tmp_path / "root") == ["linked/a.mp4"]


def test_a_directory_named_like_a_video_is_a_directory(tmp_path):
    touch(tmp_path, "x.mp4/a.avi")
    assert index_folder(tmp_path).class_names == ("x.mp4",)


def test_relative_root(tmp_path, monkeypatch):
    touch(tmp_path, "videos/a.mp4")
    monkeypatch.chdir(tmp_path)
    assert index_folder("videos").paths == (str(tmp_path / "videos" / "a.mp4"),)


def test_folder_mistakes(tmp_path):
    assert "dataset.root is not set" in message_of(index_folder, None)
    assert "dataset.root=/path/to/videos" in message_of(index_folder, None)
    assert "absent is not a directory" in message_of(index_folder, tmp_path / "absent")
    touch(tmp_path, "notes.txt")
    assert f"dataset.root={tmp_path} holds no video" in message_of(index_folder, tmp_path)
    assert "not a directory" in message_of(index_folder, tmp_path / "notes.txt")


def test_a_directory_of_images_is_one_video(tmp_path):
    touch(tmp_path, "walk/one/000001.jpg", "walk/one/000002.JPG", "walk/one/.hidden", "walk/one/Thumbs.db")
    touch(tmp_path, "walk/b.mp4", "run/day 1/two.avi/1.png", "run/c.zip")
    index = index_folder(tmp_path)
    assert names_of(index, tmp_path) == ["run/c.zip", "run/day 1/two.avi", "walk/b.mp4", "walk/one"]
    assert index.labels == (0, 0, 1, 1)
    assert index.class_names == ("run", "walk")


def test_directories_of_frames_without_classes(tmp_path):
    touch(tmp_path, "78687/1.webp", "42326/1.bmp", "42326/2.bmp")
    index = index_folder(tmp_path)
    assert names_of(index, tmp_path) == ["42326", "78687"]
    assert index.labels is None


def test_what_is_no_directory_of_frames(tmp_path):
    touch(tmp_path, "with_text/1.jpg", "with_text/readme.txt", "with_directory/1.jpg", "with_directory/x/notes.txt")
    touch(tmp_path, "with_video/poster.jpg", "with_video/a.mp4", "empty/.hidden.jpg", "logos/a.png", "logos/b.png")
    index = index_folder(tmp_path)
    assert names_of(index, tmp_path) == ["with_video/a.mp4"]
    assert dict(index.notes)["left out"] == (
        "7 files: 3 .jpg (as with_directory/1.jpg), 2 .png (as logos/a.png), 2 .txt (as with_directory/x/notes.txt)"
    )


def test_frames_stay_frames_beside_other_files(tmp_path):
    touch(tmp_path, *(f"a/one/{number}.jpg" for number in range(3)), "a/one/annotations.json", "a/one/meta.dat")
    touch(tmp_path, *(f"b/two/{number}.jpg" for number in range(2)), *(f"b/two/{number}.txt" for number in range(2)))
    index = index_folder(tmp_path)
    assert names_of(index, tmp_path) == ["a/one", "b/two"]
    assert dict(index.notes)["left out"] == (
        "4 files: 2 .txt (as b/two/0.txt), 1 .json (as a/one/annotations.json), 1 .dat (as a/one/meta.dat)"
    )


def test_a_video_beside_frames_is_asked_about(tmp_path):
    touch(tmp_path, "a/one/orig.mp4", *(f"a/one/{number:05d}.jpg" for number in range(58)), "a/two/1.jpg", "b/c.mp4")
    message = message_of(index_folder, tmp_path, "dataset.root=", None, "data.frames=")
    assert f"{tmp_path}/a/one/ holds the video orig.mp4 and *.jpg (58 pictures); which of them is the video?" in message
    assert "data.frames=*.jpg says so for all" in message
    assert message.endswith("data.frames=none takes no pictures at all")
    assert names_of(index_folder(tmp_path, frames="*.jpg"), tmp_path) == ["a/one/*.jpg", "a/two/*.jpg", "b/c.mp4"]
    only_videos = index_folder(tmp_path, frames="none")
    assert names_of(only_videos, tmp_path) == ["a/one/orig.mp4", "b/c.mp4"]
    assert dict(only_videos.notes)["left out"] == "59 files: 59 .jpg (as a/one/00000.jpg)"


def test_a_picture_of_each_video_is_no_frame(tmp_path):
    touch(tmp_path, *(f"a/v{number}.{kind}" for number in range(4) for kind in ("mp4", "jpg")))
    touch(tmp_path, *(f"b/v{number}.mp4" for number in range(4)), *(f"b/thumb{number}.png" for number in range(4)))
    index = index_folder(tmp_path)
    assert len(index.paths) == 8
    assert dict(index.notes)["left out"].startswith("8 files")


def test_several_series_are_asked_about(tmp_path):
    for clip in ("a/one", "b/two"):
        touch(tmp_path / clip, *(f"{kind}_{number:05d}.jpg" for kind in ("img", "flow_x") for number in range(1, 4)))
    message = message_of(index_folder, tmp_path, "dataset.root=", None, "data.frames=")
    assert f"{tmp_path}/a/one/ holds several series of pictures, flow_x_*.jpg (3 pictures), img_*.jpg (3" in message
    assert "(2 such folders)" in message
    assert "data.frames=flow_x_*.jpg says so for all" in message
    index = index_folder(tmp_path, frames="img_*")
    assert names_of(index, tmp_path) == ["a/one/img_*", "b/two/img_*"]
    assert index.class_names == ("a", "b")
    assert dict(index.notes)["left out"] == "6 files: 6 .jpg (as a/one/flow_x_00001.jpg)"
    assert "no video; looked in it" in message_of(index_folder, tmp_path, "dataset.root=", "rgb_*")
    assert index.digest != index_folder(tmp_path, frames="flow_x_*").digest


def test_gaps_in_frames_are_counted(tmp_path):
    touch(tmp_path, *(f"a/one/{number}.jpg" for number in (1, 2, 3, 6, 7)), "a/two/1.jpg", "a/two/2.jpg")
    touch(tmp_path, *(f"b/three/{number}.jpg" for number in (1, 2, 4)))
    assert dict(index_folder(tmp_path).notes) == {"gaps in frames": "3 numbers missing in 2 of 3 folders, as a/one"}


@pytest.fixture
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "a.avi", numbered_frames(3))


def test_known_by_what_decodes(tmp_path, video):
    touch(tmp_path, "a/1.GIF", "a/2.m2ts", "a/3.y4m", "b/4.mp4")
    (tmp_path / "c").mkdir()
    for name in ("5", "6.dat", "7.camera"):
        shutil.copy(video, tmp_path / "c" / name)
    (tmp_path / "c" / "8.camera").write_text("a text of some length, which no decoder takes for a video")
    write_song(tmp_path / "c" / "9.ogg.bin")
    shutil.copy(video, tmp_path / "c" / "10.txt")  # what is called a text is not looked into
    index = index_folder(tmp_path)
    expected = ["a/1.GIF", "a/2.m2ts", "a/3.y4m", "b/4.mp4", "c/5", "c/6.dat", "c/7.camera"]
    assert names_of(index, tmp_path) == expected
    assert index.class_names == ("a", "b", "c")
    assert dict(index.notes)["left out"] == (
        "3 files: 1 .txt (as c/10.txt), 1 .bin (as c/9.ogg.bin), 1 .camera (as c/8.camera)"
    )


@pytest.mark.parametrize(
    ("verdicts", "looked_into", "videos"),
    [([True] * 20, 8, 20), ([False] * 20, 8, 0), ([True] * 7 + [False] * 13, 20, 7), ([False] * 8 + [True] * 2, 8, 0)],
)
def test_the_first_of_an_ending_speak_for_all(tmp_path, monkeypatch, verdicts, looked_into, videos):
    touch(tmp_path, *(f"{number:02d}.raw" for number in range(len(verdicts))), "a.mp4")
    opened = []

    def holds_video(path):
        opened.append(path)
        return verdicts[int(os.path.basename(path)[:2])]

    monkeypatch.setattr(folder, "holds_video", holds_video)
    index = index_folder(tmp_path)
    assert (len(opened), len(index.paths)) == (looked_into, videos + 1)
    left = len(verdicts) - videos
    assert dict(index.notes).get("left out", "").startswith(f"{left} files" if left else "")


def test_a_class_that_vanishes_is_named(tmp_path):
    touch(tmp_path, "run/a.mp4", "walk/a.txt", "walk/b.txt", "notes.txt", "jump/deep/x.json")
    index = index_folder(tmp_path)
    assert dict(index.notes)["folders without video"] == "2: jump, walk"
    assert index.class_names == ("run",)


def test_nothing_but_other_files(tmp_path):
    touch(tmp_path, "a/1.txt", "a/2.txt", "notes")
    message = message_of(index_folder, tmp_path)
    assert "holds no video; looked in it and below for files that open as one" in message
    assert message.endswith("3 files: 2 .txt (as a/1.txt), 1 without an ending (as notes)")


def test_linked_frames_and_links_in_a_circle(tmp_path):
    touch(tmp_path / "elsewhere", "1.jpg")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "circle").symlink_to(tmp_path / "root" / "circle")
    assert names_of(index_folder(tmp_path / "root"), tmp_path / "root") == ["again"], "one place is entered once"


def test_the_frames_of_one_video_are_no_data_set(tmp_path):
    touch(tmp_path, "1.jpg", "2.jpg")
    assert "holds the frames of one video; give the folder above it" in message_of(index_folder, tmp_path)


def test_directories_are_listed_once_and_files_not_asked_about(tmp_path, monkeypatch):
    touch(tmp_path, *(f"walk/{video}/{frame}.jpg" for video in range(3) for frame in range(4)), "walk/a.mp4")
    listed, asked = [], []
    scandir, realpath = os.scandir, os.path.realpath
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(str(path)) or scandir(path))
    monkeypatch.setattr(os.path, "realpath", lambda path: asked.append(path) or realpath(path))
    monkeypatch.setattr(os, "stat", lambda *_, **__: pytest.fail("a file was asked about"))
    found = find_below(tmp_path)
    assert len(found.videos + found.frames) == 4
    assert len(listed) == len(set(listed)) == 5
    assert len(asked) == 1


def test_names_without_extension():
    assert [without_extension(name) for name in ("a.b.MP4", "a.zip", "v_x.frames", "a")] == [
        "a.b",
        "a",
        "v_x.frames",
        "a",
    ]
