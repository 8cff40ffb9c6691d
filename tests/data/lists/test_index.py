import dataclasses

from list_files import message_of, names_of, touch, write_list

from mae.data.config import CsvDataset, FolderDataset, ShapesDataset
from mae.data.lists.index import build_index, check_files, choose_frames, index_csv, single_video
from mae.data.rendered import render


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


def test_frame_counts_of_other_tools_are_explained(tmp_path):
    touch(tmp_path, "frames/182040/1.jpg")
    index = index_csv(write_list(tmp_path, "frames/182040 58 12\n"), None)
    message = message_of(check_files, index, 1.0)
    assert f"; {tmp_path}/frames/182040 does exist: expected nothing but the label after it" in message


def test_a_word_too_many_is_explained(tmp_path):
    touch(tmp_path, "my frames/7/1.jpg")
    index = index_csv(write_list(tmp_path, "my frames/8,running\nmy frames/7,running\n"), None)
    assert index.labels is None, "neither is there, so nothing says where the path ends"
    touch(tmp_path, "my frames/8/1.jpg")
    assert f"; {tmp_path}/my frames/8 does exist: expected nothing but" in message_of(check_files, index, 1.0)


def frame_list(tmp_path):
    """Two directories of two series each, one that is chosen already, and a video."""
    for clip in ("one", "two", "three"):
        touch(tmp_path / clip, *(f"{kind}_{number}.jpg" for kind in ("img", "flow_x") for number in range(2)))
    touch(tmp_path, "a.mp4", "star*.mp4")
    return index_csv(write_list(tmp_path, "a.mp4\none\ntwo\nthree/flow_x_*\nstar*.mp4\n"), None)


def test_frames_are_chosen_in_lists_too(tmp_path):
    index = frame_list(tmp_path)
    assert check_files(index, 0.0) == 0
    message = message_of(choose_frames, index, None)
    assert f"{tmp_path}/one holds several series of pictures, flow_x_*.jpg (2 pictures), img_*.jpg (2" in message
    assert "data.frames=flow_x_*.jpg says so for all, and a path in a list may end in /flow_x_*.jpg" in message
    chosen = choose_frames(index, "img_*")
    expected = ["a.mp4", "one/img_*", "two/img_*", "three/flow_x_*", "star*.mp4"]
    assert names_of(chosen, tmp_path) == expected
    assert index.digest != chosen.digest != choose_frames(index, "flow_x_*").digest
    no_frames = index_csv(write_list(tmp_path, "a.mp4\n"), None)
    assert choose_frames(no_frames, "img_*") == no_frames


def test_a_list_of_a_configuration_takes_the_chosen_frames(tmp_path):
    frame_list(tmp_path)
    dataset = CsvDataset(
        "csv", 4, root=str(tmp_path), train="list.csv", val=None, test=None, classes=None, targets=[], holdout=0
    )
    assert names_of(build_index(dataset, 0.0, frames="img_*"), tmp_path)[1:3] == ["one/img_*", "two/img_*"]
    assert "several series of pictures" in message_of(build_index, dataset, 0.0)


def test_patterns_of_directories_that_are_missing(tmp_path):
    frame_list(tmp_path)
    index = index_csv(write_list(tmp_path, "one/img_*\nfour/img_*\nfive*.mp4\n"), None)
    assert check_files(index, 1.0) == 2


def test_segments_of_directories_are_refused(tmp_path):
    touch(tmp_path, "a.mp4", "frames/1.jpg", "x.mp4/1.jpg")
    frames = index_csv(write_list(tmp_path, "path,start,end\na.mp4,0,1\nframes,,\n"), None)
    assert check_files(frames, 0.0) == 0
    frames = index_csv(write_list(tmp_path, "path,start,end\na.mp4,0,1\nframes,0,2.5\n"), None)
    message = message_of(check_files, frames, 0.0)
    assert f"{tmp_path}/frames has start 0 and end 2.5 but is a directory: frames have no clock" in message
    (tmp_path / "linked").symlink_to(tmp_path / "frames")
    linked = index_csv(write_list(tmp_path, "path,start,end\na.mp4,0,1\nlinked,0,2.5\n"), None)
    assert "linked has start" in message_of(check_files, linked, 0.0)


def test_listed_directories_of_frames_may_be_missing(tmp_path):
    touch(tmp_path, *(f"frames/{i}/1.jpg" for i in range(3)))
    index = index_csv(write_list(tmp_path, "".join(f"frames/{i}\n" for i in range(4))), None)
    assert check_files(index, 0.25) == 1
    assert (
        f"1 of 4 listed videos are missing, more than data.max_bad_frac=0.2 allows, the first: {tmp_path}/frames/3"
        in (message_of(check_files, index, 0.2))
    )


def test_build_index_of_a_folder(tmp_path):
    touch(tmp_path, "walk/a.mp4")
    dataset = FolderDataset(name="folder", frame_stride=4, root=str(tmp_path), val=None, holdout=0)
    assert build_index(dataset, 0.0).class_names == ("walk",)
    unset = dataclasses.replace(dataset, root=None)
    assert "dataset.root is not set" in message_of(build_index, unset, 0.0)


def test_build_index_of_a_list(tmp_path, monkeypatch):
    touch(tmp_path / "root", "a.mp4", "b.mp4")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    dataset = CsvDataset(
        "csv",
        4,
        root=str(tmp_path / "root"),
        train="list.csv",
        val=None,
        test=None,
        classes=None,
        targets=[],
        holdout=0,
    )
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
    monkeypatch.setattr(render, "ensure_rendered", lambda config, progress, held_out: tmp_path)
    dataset = ShapesDataset(
        "shapes", 1, root=None, videos_per_class=1, seed=0, val_videos_per_class=1, classes="all", background="ramp"
    )
    assert build_index(dataset, 0.0).class_names == ("grow", "spin")


def test_class_names_of_a_list(tmp_path, monkeypatch):
    touch(tmp_path / "root", "a.mp4")
    monkeypatch.chdir(tmp_path)
    write_list(tmp_path, "a.mp4 1\nb.mp4 1\n")
    dataset = CsvDataset(
        "csv",
        4,
        root=str(tmp_path / "root"),
        train="list.csv",
        val=None,
        test=None,
        classes="names.txt",
        targets=[],
        holdout=0,
    )
    message = message_of(build_index, dataset, 0.5)
    assert f"dataset.classes=names.txt: there is no file {tmp_path}/root/names.txt nor {tmp_path}/names.txt" in message
    write_list(tmp_path, "x\ny\nz\n", "names.txt")
    index = build_index(dataset, 0.5)
    assert (index.num_classes, index.empty_classes, index.missing) == (3, ("x", "z"), 1)
    write_list(tmp_path / "root", "x\n", "names.txt")
    assert "label 1 of 'a.mp4' has no name" in message_of(build_index, dataset, 0.5)
