import os

import pytest
from list_files import message_of, names_of, touch

from mae.data.lists.folder import index_folder, videos_below, without_extension


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
    touch(tmp_path, "78687/1.webp", "42326/1.bmp", "42326/2.jpeg")
    index = index_folder(tmp_path)
    assert names_of(index, tmp_path) == ["42326", "78687"]
    assert index.labels is None


def test_what_is_no_directory_of_frames(tmp_path):
    touch(tmp_path, "with_text/1.jpg", "with_text/readme.txt", "with_directory/1.jpg", "with_directory/x/notes.txt")
    touch(tmp_path, "with_video/poster.jpg", "with_video/a.mp4", "empty/.hidden.jpg")
    assert names_of(index_folder(tmp_path), tmp_path) == ["with_video/a.mp4"]


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
    assert len(videos_below(tmp_path)) == 4
    assert len(listed) == len(set(listed)) == 5
    assert len(asked) == 1


def test_names_without_extension():
    assert [without_extension(name) for name in ("a.b.MP4", "a.zip", "v_x.frames", "a")] == [
        "a.b",
        "a",
        "v_x.frames",
        "a",
    ]
