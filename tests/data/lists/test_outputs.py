"""Several labels, and numbers, behind the paths of a list; groups, and what is held out by them."""

from dataclasses import replace

import numpy as np
import pytest
from list_files import message_of, touch, write_list

from mae.data.config import CsvDataset
from mae.data.lists.hold_out import hold_out_groups
from mae.data.lists.splits import build_splits, with_classes
from mae.data.lists.text_list import NOTHING, Wanted, index_csv
from mae.data.lists.video_index import VideoIndex
from mae.data.lists.write_lists import list_text
from mae.options import MULTILABEL, REGRESSION

LABELS, NUMBERS = Wanted(MULTILABEL), Wanted(REGRESSION)


def read(tmp_path, text, wanted, classes=None):
    return index_csv(write_list(tmp_path, text), None, classes, wanted)


@pytest.mark.parametrize(
    ("text", "sets", "names"),
    [
        ("path,label\na.mp4,walk;run\nb.mp4,\nc.mp4,run\n", ((0, 1), (), (0,)), ("run", "walk")),
        ("a.mp4 walk;run\nb c.mp4 run\n", ((0, 1), (0,)), ("run", "walk")),
        ("a.mp4,walk;run\nb.mp4;run\n", ((0, 1), (0,)), ("run", "walk")),
        ("path;label\na.mp4;walk|run\nb.mp4;run\n", ((0, 1), (0,)), ("run", "walk")),
        ("path,label\na.mp4,5;1;5\nb.mp4,0\n", ((1, 5), (0,)), None),
        ("label path\n3 my video.mp4\n1;0 b.mp4\n", ((3,), (0, 1)), None),
    ],
)
def test_forms_of_several_labels(tmp_path, text, sets, names):
    index = read(tmp_path, text, LABELS)
    assert (index.label_sets, index.class_names, index.labels) == (sets, names, None)


def test_labels_in_columns_of_their_own(tmp_path):
    columns = Wanted(MULTILABEL, ("dog", "cat"))
    index = read(tmp_path, "path,cat,dog,bird\na.mp4,1,0,1\nb.mp4,0,0,1\nc.mp4,1.0,True,0\n", columns)
    assert (index.label_sets, index.class_names) == (((1,), (), (0, 1)), ("dog", "cat"))
    np.testing.assert_array_equal(index.truths(2), [[0, 1], [0, 0], [1, 1]])


def test_names_of_labels_are_those_of_a_file(tmp_path):
    (tmp_path / "classes.txt").write_text("walk\nrun\n")
    assert read(tmp_path, "path,label\na.mp4,run;walk\nb.mp4,run", LABELS).label_sets == ((0, 1), (1,))
    message = message_of(read, tmp_path, "path,label\na.mp4,run\nb.mp4,walk;rum", LABELS)
    assert "line 3: " in message
    assert "the class 'rum' does not exist; did you mean 'run'?" in message


@pytest.mark.parametrize(
    ("text", "wanted", "numbers", "names"),
    [
        ("path,EF\na.mp4,55.1\nb.mp4,-3e1\n", NUMBERS, ((55.1,), (-30.0,)), ("EF",)),
        ("a.mp4 0.5\nb.mp4 7\n", NUMBERS, ((0.5,), (7.0,)), None),
        ("path,label\na.mp4,1;2\nb.mp4,3;4.5\n", NUMBERS, ((1.0, 2.0), (3.0, 4.5)), ("label_0", "label_1")),
        (
            "FileName,EF,ESV,Split\na.mp4,1,2,x\nb.mp4,3,4,x",
            Wanted(REGRESSION, ("ESV", "EF")),
            ((2.0, 1.0), (4.0, 3.0)),
            ("ESV", "EF"),
        ),
    ],
)
def test_forms_of_numbers(tmp_path, text, wanted, numbers, names):
    index = read(tmp_path, text, wanted)
    assert (index.targets, index.class_names) == (numbers, names)


def test_the_class_may_be_in_a_column_of_another_name(tmp_path):
    index = read(tmp_path, "path,label,view\na.mp4,x,3\nb.mp4,y,1\n", Wanted(columns=("view",)))
    assert index.labels == (3, 1)


@pytest.mark.parametrize(
    ("text", "wanted", "message"),
    [
        ("path,label\na.mp4,1;;2", LABELS, "line 2: '1;;2' of 'a.mp4' has an empty field between two others"),
        ("path,label\na.mp4,1;x", LABELS, "line 2: 'a.mp4' has the label 'x', but line 2 has 1; expected numbers or"),
        ("path,label\na.mp4,0.5", LABELS, "line 2: label 0.5 of 'a.mp4' is neither the number of a class nor the name"),
        ("path,label\na.mp4,1\nb.mp4,3;-2", LABELS, "line 3: label -2 of 'b.mp4' is negative"),
        (
            "a.mp4 1;2;5",
            LABELS,
            "line 1: 'a.mp4 1;2;5' may be several labels, or one with a start and an end; a header",
        ),
        ("path,label\na.mp4,1\nb.mp4,high", NUMBERS, "line 3: label of 'b.mp4' is 'high'; expected a number"),
        ("path,label\na.mp4,nan", NUMBERS, "line 2: label of 'a.mp4' is 'nan'; expected a number"),
        (
            "path,label\na.mp4,1;2\nb.mp4,3",
            NUMBERS,
            "line 3: 'b.mp4' has 1 numbers, but line 2 has 2; expected as many",
        ),
        ("path,label\na.mp4,1\nb.mp4,", NUMBERS, "line 3: 'b.mp4' has no numbers, but line 2 has 1; expected as many"),
        ("path,cat\na.mp4,2", Wanted(MULTILABEL, ("cat",)), "line 2: cat of 'a.mp4' is '2'; expected 1 or 0"),
        ("path,EF,ES\na.mp4,2,", Wanted(REGRESSION, ("EF", "ES")), "line 2: ES of 'a.mp4' is ''; expected a number"),
        ("path,EF\na.mp4,2", Wanted(REGRESSION, ("ES",)), "the column 'ES' does not exist; did you mean 'EF'?"),
        ("a.mp4,2", Wanted(REGRESSION, ("EF",)), "line 1: 'a.mp4,2' is no header, and dataset.targets names columns"),
        ("path,label,group\na.mp4,2,p\nb.mp4,2,", LABELS, "line 3: 'b.mp4' has no group; expected one on every line"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path, text, wanted, message):
    told = message_of(read, tmp_path, text, wanted)
    assert told.startswith(str(tmp_path / "list.csv"))
    assert message in told


def test_pre_training_reads_lists_of_every_task(tmp_path):
    """And packing writes them again as they were."""
    texts = ("path,label\na.mp4,walk;run\nb.mp4,\n", "path,label\na.mp4,0;2\nb.mp4,1", "path,EF\na.mp4,5.5\nb.mp4,7")
    for text, wanted in zip(texts, (LABELS, LABELS, NUMBERS), strict=True):
        index, learnt = read(tmp_path, text, NOTHING), read(tmp_path, text, wanted)
        assert (index.paths, index.labels) == (learnt.paths, None)
        again = read(tmp_path, list_text(["a.mp4", "b.mp4"], index.as_written), wanted)
        assert (again.label_sets, again.targets) == (learnt.label_sets, learnt.targets)
    assert read(tmp_path, "a.mp4 walk\nb.mp4 run\n", NOTHING).labels == (1, 0)
    assert "has no label but line 3 has one" in message_of(read, tmp_path, "path,label\na.mp4,\nb.mp4,1", NOTHING)


def test_labels_of_a_list_are_numbered_as_the_training_list_is():
    index = VideoIndex(("x", "y"), None, ("b", "c"), "", is_numbered_by_name=True, label_sets=((0, 1), ()))
    assert with_classes(index, ("c", "b", "a"), 3, "model").label_sets == ((0, 1), ())
    assert with_classes(replace(index, label_sets=((0,), ())), ("c", "b"), 2, "model").label_sets == ((1,), ())
    assert "the class 'c' of x and others" in message_of(with_classes, index, ("a", "b"), 2, "model")
    numbers = VideoIndex(("x",), None, ("EF",), "", targets=((1.0,),))
    assert with_classes(numbers, ("EF",), 1, "model") == numbers
    assert "the numbers of model are ES, those of" in message_of(with_classes, numbers, ("ES",), 1, "model")
    assert "x has 1 numbers, and model 2" in message_of(with_classes, numbers, ("EF", "ES"), 2, "model")


def dataset(root, **changes):
    values = {"train": "train.csv", "val": None, "test": None, "classes": None, "targets": [], "holdout": 0.0}
    return CsvDataset("csv", 4, root=str(root), **{**values, **changes})


def grouped(tmp_path, name, groups):
    touch(tmp_path, *(f"{name}{number}.mp4" for number in range(len(groups))))
    lines = [f"{name}{number}.mp4,{number % 2},{group}" for number, group in enumerate(groups)]
    write_list(tmp_path, "\n".join(["path,label,group", *lines]), f"{name}.csv")


def test_a_group_is_never_in_both_parts(tmp_path):
    grouped(tmp_path, "train", [f"p{number // 4}" for number in range(40)])
    splits = build_splits(dataset(tmp_path, holdout=0.2), 0)
    parts = [set(splits.train.groups), set(splits.val.groups)]
    assert len(parts[1]) == 2  # of ten
    assert not parts[0] & parts[1]
    assert splits.test == splits.val
    assert build_splits(dataset(tmp_path, holdout=0.2), 0) == splits
    assert (len(splits.train.paths), len(splits.val.paths)) == (32, 8)
    assert splits.shared == ()


def test_held_out_groups_leave_every_class_and_are_about_the_share():
    """Parts of one video are a group where a list has none."""
    index = VideoIndex(tuple(f"{n // 2}.mp4" for n in range(30)), (0,) * 28 + (1, 1), None, "")
    rest, held = hold_out_groups(index, 0.3)
    assert not set(rest.paths) & set(held.paths)
    assert set(rest.labels) == {0, 1}
    assert 6 <= len(held.paths) <= 12
    few = VideoIndex(("a", "b", "c"), None, None, "", groups=("p", "p", "q"), targets=((1.0,), (2.0,), (3.0,)))
    assert [part.targets for part in hold_out_groups(few, 0.1)] == [((1.0,), (2.0,)), ((3.0,),)]
    alone = replace(few, groups=("p", "p", "p"))
    assert "none of the 1 groups of the list can be held out" in message_of(hold_out_groups, alone, 0.1)


def test_leaks_between_given_lists(tmp_path):
    grouped(tmp_path, "train", ["p", "q", "r", "s"])
    grouped(tmp_path, "val", ["t", "r"])
    message = message_of(build_splits, dataset(tmp_path, val="val.csv"), 0)
    assert "val1.mp4 of the held-out list and " in message
    assert "train2.mp4 of the training list are of one group, 'r'" in message
    write_list(tmp_path, "train1.mp4,0\nval0.mp4,1\n", "val.csv")
    splits = build_splits(dataset(tmp_path, val="val.csv"), 0)
    assert splits.shared == (str(tmp_path / "train1.mp4"),)


def test_a_list_without_what_a_task_learns_is_refused(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    write_list(tmp_path, "a.mp4\nb.mp4\n", "train.csv")
    assert "has nothing that task=regression learns" in message_of(
        build_splits, dataset(tmp_path), 0, None, None, REGRESSION
    )
    write_list(tmp_path, "a.mp4,3\nb.mp4,3\n", "train.csv")
    assert "have the same number, 3" in message_of(build_splits, dataset(tmp_path), 0, None, None, REGRESSION)


def test_rows_say_what_is_learnt():
    index = VideoIndex(
        ("a", "b", "c"), None, ("x", "y"), "0" * 64, label_sets=((0, 1), (), (0,)), groups=("p", "p", "q")
    )
    rows = dict(index.rows())
    assert rows["labels"] == "2: x (2), y (1)"
    assert (rows["videos without label"], rows["groups"]) == ("1", "2")
    numbers = VideoIndex(("a", "b"), None, ("EF",), "0" * 64, targets=((2.0,), (4.0,)))
    assert dict(numbers.rows())["numbers"] == "EF 3 ± 1, from 2 to 4"
