import dataclasses
import os
from pathlib import Path

import pytest

from mae.data import shapes
from mae.data.config import CsvDataset, FolderDataset, ShapesDataset
from mae.data.lists.index import build_index, check_files, index_csv, index_folder, single_video
from mae.errors import ConfigError


def touch(root, *names):
    for name in names:
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names_of(index, root):
    return [os.path.relpath(path, root) for path in index.paths]


def write_list(tmp_path, text, name="list.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def message_of(function, *arguments):
    with pytest.raises(ConfigError) as error:
        function(*arguments)
    message = str(error.value)
    assert "\n" not in message
    return message


# Folders


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


def test_the_digest_depends_on_names_and_labels_not_on_the_place(tmp_path):
    touch(tmp_path / "a", "walk/1.mp4", "run/2.mp4")
    touch(tmp_path / "b", "walk/1.mp4", "run/2.mp4")
    touch(tmp_path / "c", "walk/1.mp4", "run/3.mp4")
    digests = [index_folder(tmp_path / name).digest for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
    as_list = write_list(tmp_path / "b", "run/2.mp4,0\nwalk/1.mp4,1\n")
    other_labels = write_list(tmp_path / "b", "run/2.mp4,1\nwalk/1.mp4,0\n", "other.csv")
    absolute = write_list(tmp_path, f"{tmp_path}/a/run/2.mp4,0\n{tmp_path}/a/walk/1.mp4,1\n")
    assert index_csv(as_list, None).digest == digests[0]
    assert index_csv(absolute, tmp_path / "a").digest == digests[0]
    assert index_csv(other_labels, None).digest != digests[0]


# Lists


@pytest.mark.parametrize(
    ("text", "paths", "labels"),
    [
        ("a.mp4,3\nb.mp4,0\n", ["a.mp4", "b.mp4"], (3, 0)),
        ("a.mp4 3\nb.mp4 0", ["a.mp4", "b.mp4"], (3, 0)),
        ("a.mp4, 3\nb.mp4\t0\n", ["a.mp4", "b.mp4"], (3, 0)),
        ("b.mp4\na.mp4\n", ["b.mp4", "a.mp4"], None),
        ("b.mp4\r\na.mp4\r\n", ["b.mp4", "a.mp4"], None),
        ("path,label\na.mp4,3\n", ["a.mp4"], (3,)),
        ("video_path label\na.mp4 3\n", ["a.mp4"], (3,)),
        ("path\na.mp4\n", ["a.mp4"], None),
        ("# a comment\n\n  a.mp4 1  \n\n# more\nb.mp4 2\n", ["a.mp4", "b.mp4"], (1, 2)),
        ("my video, part 1.mp4 7\n", ["my video, part 1.mp4"], (7,)),
        ("my video 2.mp4\nmy video 3.mp4\n", ["my video 2.mp4", "my video 3.mp4"], None),
        ("clip 7,3\n", ["clip 7"], (3,)),
        ('"a, ""b"".mp4",3\n', ['a, "b".mp4'], (3,)),
        ("\ufeffpath,label\nvidéo.mp4,3\n", ["vidéo.mp4"], (3,)),
        ("\ufeffa.mp4\n", ["a.mp4"], None),
        ("./x/a.mp4 1\n", ["x/a.mp4"], (1,)),
    ],
)
def test_forms_of_a_list(tmp_path, text, paths, labels):
    index = index_csv(write_list(tmp_path, text), None)
    assert names_of(index, tmp_path) == paths
    assert index.labels == labels
    assert index.class_names is None


def test_a_name_without_extension_is_no_header_where_the_file_exists(tmp_path):
    touch(tmp_path, "first")
    assert len(index_csv(write_list(tmp_path, "first\nsecond\n"), None).paths) == 2


def test_what_paths_are_relative_to(tmp_path):
    (tmp_path / "root").mkdir()
    path = write_list(tmp_path, "a.mp4\n/abs/b.mp4\n~nobody.mp4\n")
    assert index_csv(path, None).paths == (f"{tmp_path}/a.mp4", "/abs/b.mp4", f"{tmp_path}/~nobody.mp4")
    assert index_csv(path, tmp_path / "root").paths[0] == f"{tmp_path}/root/a.mp4"


def test_list_mistakes(tmp_path):
    some = message_of(index_csv, write_list(tmp_path, "# x\na.mp4 1\nb.mp4\n"), None)
    assert "list.csv line 3: 'b.mp4' has no label but line 2 has one" in some
    some = message_of(index_csv, write_list(tmp_path, "a.mp4\nb.mp4 1\n"), None)
    assert "line 1: 'a.mp4' has no label but line 2 has one" in some
    negative = message_of(index_csv, write_list(tmp_path, "a.mp4 0 -1\n"), None)
    assert "line 1: label -1 of 'a.mp4 0' is negative" in negative
    assert "lists no video" in message_of(index_csv, write_list(tmp_path, "\n# nothing\n"), None)
    assert "not a UTF-8 text" in message_of(index_csv, write_list(tmp_path, b"caf\xe9.mp4\n"), None)
    assert "cannot be read (No such file" in message_of(index_csv, tmp_path / "absent.csv", None)
    assert "cannot be read (Is a directory" in message_of(index_csv, tmp_path, None)
    assert "is not a directory" in message_of(index_csv, write_list(tmp_path, "a.mp4\n"), tmp_path / "no")


def test_missing_files(tmp_path):
    touch(tmp_path, *(f"x/{i}.mp4" for i in range(9)))
    (tmp_path / "x" / "folder.mp4").mkdir()
    index = index_csv(write_list(tmp_path, "".join(f"x/{i}.mp4 0\n" for i in range(10))), None)
    check_files(index, max_bad_frac=0.1)
    message = message_of(check_files, index, 0.05)
    assert (
        f"1 of 10 listed videos are missing, more than data.max_bad_frac=0.05 allows, the first: {tmp_path}/x/9"
        in message
    )
    nowhere = index_csv(write_list(tmp_path, "y/a.mp4\ny/nul\0.mp4\n"), None)
    message = message_of(check_files, nowhere, 1.0)
    assert f"none of the 2 listed videos exists, the first would be {tmp_path}/y/a.mp4; dataset.root" in message


def test_a_single_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = single_video("x/a.mp4")
    assert index.paths == (f"{tmp_path}/x/a.mp4",)
    assert index.labels is None


# Data sets


def test_build_index_of_a_folder(tmp_path):
    touch(tmp_path, "walk/a.mp4")
    dataset = FolderDataset(name="folder", frame_stride=4, root=str(tmp_path))
    assert build_index(dataset, 0.0).class_names == ("walk",)
    unset = dataclasses.replace(dataset, root=None)
    assert "dataset.root is not set" in message_of(build_index, unset, 0.0)


def test_build_index_of_a_list(tmp_path, monkeypatch):
    touch(tmp_path / "root", "a.mp4", "b.mp4")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    dataset = CsvDataset(name="csv", frame_stride=4, root=str(tmp_path / "root"), train="list.csv", classes=None)
    message = message_of(build_index, dataset, 0.0)
    assert f"there is no file {tmp_path}/root/list.csv nor {tmp_path}/cwd/list.csv" in message
    write_list(tmp_path / "cwd", "b.mp4\n")
    assert names_of(build_index(dataset, 0.0), tmp_path / "root") == ["b.mp4"]
    write_list(tmp_path / "root", "a.mp4\n")
    assert names_of(build_index(dataset, 0.0), tmp_path / "root") == ["a.mp4"], "the root comes first"
    assert "none of the 1 listed" in message_of(build_index, dataclasses.replace(dataset, root=None), 0.0)
    no_root = dataclasses.replace(dataset, root=None, train="absent.csv")
    assert "dataset.root is not set, which is looked in" in message_of(build_index, no_root, 0.0)
    no_list = dataclasses.replace(dataset, train=None)
    assert "give the list of videos: dataset.train=list.csv" in message_of(build_index, no_list, 0.0)


def test_build_index_of_the_demo(tmp_path, monkeypatch):
    touch(tmp_path, "grow/a.avi", "spin/b.avi")
    monkeypatch.setattr(shapes, "ensure_shapes", lambda config, progress: tmp_path)
    dataset = ShapesDataset(name="shapes", frame_stride=1, root=None, videos_per_class=1, seed=0)
    assert build_index(dataset, 0.0).class_names == ("grow", "spin")
