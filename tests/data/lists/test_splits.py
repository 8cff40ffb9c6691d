from dataclasses import replace
from os import rename
from shutil import rmtree

import pytest

from mae.data.config import CsvDataset, FolderDataset
from mae.data.lists.hold_out import hold_out
from mae.data.lists.splits import build_splits, evaluation_list, with_classes
from mae.data.lists.video_index import VideoIndex
from mae.errors import ConfigError


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def folder(root, val=None, holdout=0.0):
    return FolderDataset("folder", 4, root=str(root), val=None if val is None else str(val), holdout=holdout)


def csv(root, **lists):
    return CsvDataset(
        "csv",
        4,
        root=str(root),
        **{"train": "train.csv", "val": None, "test": None, "targets": [], "holdout": 0, **lists},
        classes=None,
    )


def names(index):
    return [path.rsplit("/", 1)[1] for path in index.paths]


def test_a_share_of_each_class_is_held_out(tmp_path):
    touch(
        tmp_path,
        *(f"{name}/{number}.mp4" for name in ("a", "b") for number in range(10)),
        "c/0.mp4",
        "d/0.mp4",
        "d/1.mp4",
    )
    splits = build_splits(folder(tmp_path, holdout=0.3), 0)
    assert splits.val is splits.test
    assert [splits.val.labels.count(label) for label in range(4)] == [3, 3, 0, 1]  # never all of a class
    assert [splits.train.labels.count(label) for label in range(4)] == [7, 7, 1, 1]
    assert not set(splits.train.paths) & set(splits.val.paths)
    assert len({*splits.train.paths, *splits.val.paths}) == 23
    assert splits.train.class_names == splits.val.class_names == ("a", "b", "c", "d")
    assert splits.train.digest != splits.val.digest
    assert build_splits(folder(tmp_path, holdout=0.3), 0) == splits
    assert evaluation_list(folder(tmp_path, holdout=0.3), 0) == splits.test


def test_nothing_to_hold_out(tmp_path):
    with pytest.raises(ConfigError, match="no class has two videos"):
        build_splits(folder(touch(tmp_path, "a/0.mp4", "b/0.mp4"), holdout=0.5), 0)
    index = VideoIndex(("/x/a/0.mp4", "/x/a/1.mp4"), (0, 0), ("a",), "")
    train, held = hold_out(index, 0.99, tmp_path.__class__("/x"))
    assert (len(train.paths), len(held.paths)) == (1, 1)


def test_the_classes_of_another_folder_are_found_by_name(tmp_path):
    train = touch(tmp_path / "train", "a/0.mp4", "b/0.mp4", "c/0.mp4")
    val = touch(tmp_path / "val", "b/1.mp4", "c/1.mp4")
    splits = build_splits(folder(train, val), 0)
    assert splits.val.labels == (1, 2)
    assert splits.val.class_names == ("a", "b", "c")
    with pytest.raises(ConfigError, match=r"the class 'd' of .*d/1.mp4 and others \(1 classes in all\) is unknown to"):
        build_splits(folder(train, touch(val, "d/1.mp4")), 0)


def test_lists_for_validation_and_test(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    for name, line in (("train", "a.mp4 1\nb.mp4 0"), ("val", "b.mp4 0"), ("test", "c.mp4 1\ngone.mp4 0")):
        (tmp_path / f"{name}.csv").write_text(line)
    splits = build_splits(csv(tmp_path, val="val.csv", test="test.csv"), 0)
    assert (names(splits.train), names(splits.val), names(splits.test)) == (
        *(["a.mp4", "b.mp4"], ["b.mp4"], ["c.mp4", "gone.mp4"]),
    )
    assert splits.test.missing == 1  # told at the start, failed in the test; max_bad_frac is about training
    only_val = build_splits(csv(tmp_path, val="val.csv"), 0)
    assert names(only_val.test) == ["b.mp4"]
    assert evaluation_list(csv(tmp_path, train=None, test="test.csv"), 0) == splits.test
    assert build_splits(csv(tmp_path), 0).val is None
    with pytest.raises(ConfigError, match=r"dataset=csv has no list to test on: give dataset.val="):
        evaluation_list(csv(tmp_path), 0)


def test_labels_that_training_does_not_have(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "train.csv").write_text("a.mp4 1\nb.mp4 0")
    (tmp_path / "val.csv").write_text("a.mp4 2")
    with pytest.raises(ConfigError, match=r"a.mp4 has label 2, and the training list has the 2 classes 0 … 1"):
        build_splits(csv(tmp_path, val="val.csv"), 0)
    (tmp_path / "train.csv").write_text("a.mp4")
    with pytest.raises(ConfigError, match=r"the training list with .*a.mp4 has no labels"):
        build_splits(csv(tmp_path), 0)


def test_names_in_another_order_are_refused_where_labels_are_numbers():
    index = VideoIndex(("/x/a.mp4",), (0,), ("b", "a"), "")
    with pytest.raises(ConfigError, match=r"differ from class 0 on: 'a' and 'b'; they must be the same"):
        with_classes(index, ("a", "b"), 2, "model")
    with pytest.raises(ConfigError, match=r"differ from class 2 on: 'c' and none"):
        with_classes(index, ("b", "a", "c"), 3, "model")
    assert with_classes(replace(index, is_numbered_by_name=True), ("a", "b"), 2, "model").labels == (1,)
    assert with_classes(index, None, 2, "model") == index


def test_one_class_alone_is_no_task(tmp_path):
    touch(tmp_path, "run/a.mp4", "run/b.mp4", "walk/a.txt")
    with pytest.raises(ConfigError) as error:
        build_splits(folder(tmp_path, holdout=0.5), 0)
    assert f"all 2 training videos, as {tmp_path}/run/a.mp4, are of one class, 'run'" in str(error.value)
    assert "left out: 1 file: 1 .txt (as walk/a.txt)" in str(error.value)
    (tmp_path / "train.csv").write_text("run/a.mp4 3\nrun/b.mp4 3\n")
    with pytest.raises(ConfigError, match="are of one class, '3': there is nothing to tell apart"):
        build_splits(csv(tmp_path), 0)


def test_classes_that_lists_name_are_found_by_name(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "train.csv").write_text("a.mp4,walk\nb.mp4,run\nc.mp4,jump\n")
    (tmp_path / "val.csv").write_text("label,path\nwalk,c.mp4\nrun,a.mp4\n")
    splits = build_splits(csv(tmp_path, val="val.csv"), 0)
    assert (splits.train.labels, splits.train.class_names) == ((2, 1, 0), ("jump", "run", "walk"))
    assert (splits.val.labels, splits.val.class_names) == ((2, 1), ("jump", "run", "walk"))
    (tmp_path / "val.csv").write_text("a.mp4,crawl\n")
    with pytest.raises(ConfigError, match=r"the class 'crawl' of .*a.mp4 and others \(1 classes in all\) is unknown"):
        build_splits(csv(tmp_path, val="val.csv"), 0)
    (tmp_path / "val.csv").write_text("a.mp4,1\n")
    with pytest.raises(ConfigError, match=r"have names, those of .*a.mp4 and others are numbers: which number"):
        build_splits(csv(tmp_path, val="val.csv"), 0)
    (tmp_path / "val.csv").write_text("a.mp4,1\nb.mp4,0\n")
    with pytest.raises(ConfigError, match=r"the classes of .*a.mp4 and others have names"):
        build_splits(csv(tmp_path, train="val.csv", val="train.csv"), 0)


def divided(root, *parts):
    return touch(root, *(f"{part}/{name}/{part}.mp4" for part in parts for name in ("run", "walk")))


@pytest.mark.parametrize(
    ("parts", "val", "test"),
    [
        (("train", "val", "test"), "val", "test"),
        (("Train", "validation"), "validation", "validation"),
        (("train", "valid"), "valid", "valid"),
        (("train", "test"), "test", "test"),
    ],
)
def test_a_divided_folder(tmp_path, parts, val, test):
    divided(tmp_path, *parts)
    splits = build_splits(folder(tmp_path), 0)
    assert names(splits.train) == [f"{parts[0]}.mp4"] * 2
    assert (names(splits.val), names(splits.test)) == ([f"{val}.mp4"] * 2, [f"{test}.mp4"] * 2)
    assert splits.train.class_names == splits.val.class_names == ("run", "walk")
    assert splits.train.digest == build_splits(folder(tmp_path / parts[0]), 0).train.digest
    assert evaluation_list(folder(tmp_path), 0) == splits.test
    assert build_splits(folder(tmp_path, val=tmp_path / val), 0).val.paths == splits.val.paths
    told = [f"{parts[0]}/ is trained on"]
    told += [f"{val}/ is validated on"] if val != "test" else []
    told += ["test/ is tested with"] if test == "test" else []
    assert dict(splits.train.notes) == {"split": ", ".join(told)}


def test_a_divided_folder_needs_no_other_part(tmp_path):
    divided(tmp_path, "train", "val")
    divided(tmp_path / "more", "x")
    with pytest.raises(ConfigError, match=r"holds train and val, which look like parts .* beside videos in more"):
        build_splits(folder(tmp_path), 0)
    rmtree(tmp_path / "more")
    (tmp_path / "annotations").mkdir()
    with pytest.raises(ConfigError, match=r"dataset.holdout=0.2, and .* has a part for it already, val/: leave out"):
        build_splits(folder(tmp_path, holdout=0.2), 0)
    other = divided(tmp_path / "annotations" / "of_nothing", "x") / "x"
    rename(other, tmp_path.parent / "elsewhere")
    with pytest.raises(ConfigError, match=r"has a part for it already, val/: leave out dataset.val, or give"):
        build_splits(folder(tmp_path, val=tmp_path.parent / "elsewhere"), 0)
