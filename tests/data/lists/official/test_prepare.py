from dataclasses import fields
from pathlib import Path

import pytest
from list_files import message_of, names_of, touch

from mae.data.lists.index import index_csv
from mae.data.lists.official.annotations import AnnotatedVideo, Annotations, Split
from mae.data.lists.official.prepare import ARGUMENTS, OfficialDataset, PrepareConfig, parse_arguments, prepare
from mae.data.lists.official.video_files import file_name


def videos(names, label=0):
    return tuple(AnnotatedVideo(f"{name}.avi", (name,), label) for name in names)


def dataset(max_missing=0.0, num_splits=1, num_classes=2, source=Path("/nowhere")):
    def read(_directory, split):
        splits = [Split("train", videos("abcd") + videos("e", 1)), Split("val", videos("fg", 1))]
        splits.append(Split("test", videos("h", None), is_optional=True))
        return Annotations(("walk", f"run {split}"), tuple(splits), (source,))

    return OfficialDataset("some", num_classes, num_splits, max_missing, read, file_name)


def run(data, *words):
    return prepare(data, parse_arguments(data, ["annotations=.", *map(str, words)]))


def test_a_complete_copy(tmp_path):
    touch(tmp_path, *(f"x/{name}.avi" for name in "abcdefgh"))
    told = run(dataset(), f"videos={tmp_path}")
    train = index_csv(tmp_path / "train.csv", None)
    assert names_of(train, tmp_path) == [f"x/{name}.avi" for name in "abcde"]
    assert train.labels == (0, 0, 0, 0, 1)
    assert train.class_names == ("walk", "run 1")
    assert index_csv(tmp_path / "val.csv", None).labels == (1, 1)
    assert index_csv(tmp_path / "test.csv", None).labels is None
    assert (tmp_path / "missing.txt").read_text().count("\n") == 1
    assert told.splitlines() == [
        "train.csv: 5 videos; 0 of the annotation are missing",
        "val.csv: 2 videos; 0 of the annotation are missing",
        "test.csv: 1 videos; 0 of the annotation are missing",
        "classes.txt: 2 classes",
        "missing.txt: 0 videos",
        f"in {tmp_path}",
    ]
    assert run(dataset(), f"videos={tmp_path}") == told, "a second time changes nothing"


def test_missing_videos(tmp_path):
    touch(tmp_path / "videos", *(f"{name}.avi" for name in "acdefg"))
    words = (f"videos={tmp_path / 'videos'}", f"output={tmp_path / 'lists'}")
    assert "test: none of 1 videos is there, so no test.csv" in run(dataset(max_missing=0.2), *words)
    assert sorted(path.name for path in (tmp_path / "lists").iterdir()) == [
        *("classes.txt", "missing.txt", "train.csv", "val.csv")
    ]
    assert (tmp_path / "lists" / "missing.txt").read_text().splitlines()[1:] == ["train\tb.avi"]
    words = (words[0], f"output={tmp_path / 'strict'}")
    message = message_of(run, dataset(max_missing=0.19), *words)
    assert "videos are missing: 1 of 5 of train, as b.avi." in message
    assert [path.name for path in (tmp_path / "strict").iterdir()] == ["missing.txt"], "it says what to get"
    assert "train.csv: 4 videos; 1 of the annotation are missing" in run(dataset(), *words, "allow_missing=true")


def test_a_list_of_which_nothing_is_there(tmp_path):
    touch(tmp_path, *(f"{name}.avi" for name in "abcde"))
    assert "2 of 2 of val, as f.avi" in message_of(run, dataset(), f"videos={tmp_path}")
    assert "val: none of 2 videos is there, so no val.csv" in run(dataset(), f"videos={tmp_path}", "allow_missing=true")
    assert not (tmp_path / "val.csv").exists()


def test_the_wrong_folder_of_videos(tmp_path):
    touch(tmp_path, "other.avi")
    message = message_of(run, dataset(), f"videos={tmp_path}", "allow_missing=true")
    assert f"none of the 5 videos of train is among the 1 below videos={tmp_path}; the first would be a.avi" in message
    assert len(list(tmp_path.iterdir())) == 1


def test_lists_are_replaced_only_on_demand(tmp_path):
    touch(tmp_path, *(f"{name}.avi" for name in "abcdefg"))
    words = (f"videos={tmp_path}",)
    run(dataset(num_splits=2), *words, "split=1")
    message = message_of(run, dataset(num_splits=2), *words, "split=2")
    assert f"something else is in {tmp_path}/classes.txt: overwrite=true" in message
    run(dataset(num_splits=2), *words, "split=2", "overwrite=true")
    assert (tmp_path / "classes.txt").read_text() == "walk\nrun 2\n"
    (tmp_path / "train.csv").write_text("official")
    source = tmp_path / "train.csv"
    assert "annotation that was read" in message_of(run, dataset(source=source), f"videos={tmp_path}", "overwrite=true")
    (tmp_path / "missing.txt").write_text("mine")
    assert "something else is in" in message_of(run, dataset(), f"videos={tmp_path}")


def test_fewer_classes_than_published_are_told(tmp_path):
    touch(tmp_path, *(f"{name}.avi" for name in "abcdefg"))
    told = run(dataset(num_classes=5), f"videos={tmp_path}")
    assert "the whole data set has 5: labels differ from those of published models" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "annotations= is missing; arguments: annotations=… videos=… [output=…]"),
        (["annotations=a", "videos=b", "split=3"], "split=3 does not exist: some has 2"),
        (["annotations=a", "videos=b", "spilt=1"], "did you mean 'split'?"),
        (["annotations=a", "--split=2"], "there is no flag --split: settings have no dashes, as split=2"),
    ],
)
def test_wrong_arguments(words, message):
    assert message in message_of(parse_arguments, dataset(num_splits=2), words)


def test_paths_are_from_the_working_directory(tmp_path, monkeypatch):
    touch(tmp_path / "videos", *(f"{name}.avi" for name in "abcdefg"))
    monkeypatch.chdir(tmp_path)
    assert run(dataset(), "videos=videos").splitlines()[-1] == f"in {tmp_path / 'videos'}"


def test_every_argument_is_explained():
    assert all(f"\n{field.name} " in ARGUMENTS for field in fields(PrepareConfig))
