"""Lists that are read as tables say just what they say line by line."""

import random
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pytest
from list_files import message_of, touch, write_list
from pyarrow import parquet

from mae.data.config import CsvDataset
from mae.data.lists import index as index_module
from mae.data.lists import tables
from mae.data.lists.column import Column, Paths
from mae.data.lists.hold_out import hold_out_groups
from mae.data.lists.index import build_index, check_files, choose_frames, places_to_look
from mae.data.lists.splits import build_splits
from mae.data.lists.text_list import NOTHING, Wanted, index_csv
from mae.data.lists.video_index import VideoIndex
from mae.errors import ConfigError

SHARED = [field.name for field in fields(VideoIndex)]


def as_table(monkeypatch):
    """Takes every text for a long one."""
    monkeypatch.setattr(tables, "LARGE", 0)


def same(made, expected):
    """Asserts that two lists are equal, the first in columns."""
    for name in SHARED:
        assert getattr(made, name) == getattr(expected, name), name
    assert isinstance(made.paths, Paths)
    assert made.rows() == expected.rows()
    assert (made.duplicates, made.contradictions) == (expected.duplicates, expected.contradictions)
    assert made.num_classes == expected.num_classes
    if expected.is_labelled:
        outputs = expected.num_classes
        assert np.array_equal(made.truths(outputs), expected.truths(outputs))
    some = [len(expected.paths) - 1, 0]
    assert made.part(some).digest == expected.part(some).digest
    assert made.part(some).rows() == expected.part(some).rows()


TEXTS = {
    "classes": ("path,label\na.mp4,3\nb/c.mp4,0\n./d.mp4,3\na.mp4,1\n", NOTHING),
    "names": ("label;video\nwalk;a.mp4\nrun;b.mp4\nwalk; c d.mp4 \n", Wanted()),
    "no labels": ("path\tcaption\na.mp4\thello, you\nb.mp4\t\n", NOTHING),
    "quotes": ('"path","label"\n"a, b.mp4","3"\n"c.mp4","1"\n', NOTHING),
    "segments": ("path,label,start,end\na.mp4,1,0,2.5\na.mp4,0,+2.5,4.\nb.mp4,1,,\n", Wanted()),
    "strides": ("path,stride\na.mp4,4\nb.mp4,\nc.mp4,2.0\n", NOTHING),
    "groups": ("path,label,group,split\na.mp4,1,p,train\nb.mp4,0,q,train\nc.mp4,1,p,train\n", Wanted()),
    "labels": ("path,labels\na.mp4,walk;run\nb.mp4,\nc.mp4,run\nd.mp4,run;walk\n", Wanted("multilabel")),
    "labels as they are": ("path,labels\na.mp4,walk;run\nb.mp4,walk\n", NOTHING),
    "columns": ("path,cat,dog\na.mp4,1,0\nb.mp4,1,1\nc.mp4,0,0\n", Wanted("multilabel", ("cat", "dog"))),
    "numbers": ("path,EF\na.mp4,55.1\nb.mp4,+38\nc.mp4,5e1\n", Wanted("regression")),
    "numbers as they are": ("path,EF\na.mp4,55.1\nb.mp4,38\n", NOTHING),
    "several numbers": ("path,xy\na.mp4,1;2\nb.mp4,3;.5\n", Wanted("regression")),
    "number columns": ("path,EF,ESV\na.mp4,1,2\nb.mp4,3,4.5\n", Wanted("regression", ("EF", "ESV"))),
    "a class column": ("path,view,other\na.mp4,top,1\nb.mp4,side,2\n", Wanted("classification", ("view",))),
    "without a header": ("# mine\r\n\r\na.mp4 3\r\n/b/c.mp4 1\r\nd/e 3", NOTHING),
    "paths alone": ("a.mp4\nb//./c.mp4/\n~/d.mp4\ns3://bucket//e.mp4", NOTHING),
    "a byte order mark": ("\ufeffpath,label\nü.mp4,1\n", NOTHING),
    "a mark and no header": ("\ufeffa.mp4 1\nb.mp4 0\n", NOTHING),
    "addresses": ("path,label\ns3://b/a.mp4,0\nc.mp4,1\n", NOTHING),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_long_text_is_read_as_line_by_line(name, tmp_path, monkeypatch):
    text, wanted = TEXTS[name]
    path = write_list(tmp_path, text)
    expected = index_csv(path, None, wanted=wanted)
    assert isinstance(expected.paths, tuple)
    as_table(monkeypatch)
    same(index_csv(path, None, wanted=wanted), expected)


IRREGULAR = {
    "a blank line": "path,label\na.mp4,3\n\nb.mp4,0\n",
    "a comment": "path,label\na.mp4,3\n# b.mp4,0\nc.mp4,1\n",
    "a path with a comma": "path,label\na, b.mp4,3\nc.mp4,1\n",
    "a line break in quotes": 'path,label\n"a\nb.mp4",3\nc.mp4,1\n',
    "a quote in quotes": 'path,label\n"a ""b"".mp4",3\nc.mp4,1\n',
    "blanks in quotes": 'path,label\n" a.mp4",3\nc.mp4,1\n',
    "a quote behind a blank": 'path,label\na.mp4, "walk"\nc.mp4,"run"\n',
    "start and end without a name": "path,label\na.mp4,1,0,2\nb.mp4,2,1,3\n",
    "names without a header": "a.mp4,walk\nb.mp4,run\n",
    "several blanks": "a.mp4  1\nb.mp4 2\n",
    "a path with a blank": "a.mp4 1\nmy b.mp4 2\n",
    "old line ends": "path,label\ra.mp4,3\rb.mp4,0\r",
    "a form feed": "path,label\na.mp4,3\x0c\nb.mp4,0\n",
}


@pytest.mark.parametrize("name", IRREGULAR)
def test_what_is_no_table_is_read_line_by_line(name, tmp_path, monkeypatch):
    path = write_list(tmp_path, IRREGULAR[name])
    expected = index_csv(path, None, wanted=NOTHING)
    as_table(monkeypatch)
    made = index_csv(path, None, wanted=NOTHING)
    assert isinstance(made.paths, tuple)
    assert made == expected


def test_random_texts_mean_the_same_either_way(tmp_path, monkeypatch):
    """Whatever stands in a file: the same list, or the same message."""
    draw = random.Random(0)
    pieces = [*(" ", "", "1", "1", "3", "2.0", "-1", '"q"', '"r,s"', '"', "#", ";"), "a.mp4", "b c", "walk", "x/y.avi"]
    heads = {"path,label\n": ",", "path,label,caption\n": ",", "label;path\n": ";", "": " ", "path,start,end\n": ","}
    compared = 0
    for _ in range(300):
        head, mark = draw.choice([*heads.items()])
        fields = head.count(mark) + 1 if head else 2
        rows = [mark.join(draw.choices(pieces, k=fields)) for _ in range(draw.randrange(1, 4))]
        path = write_list(tmp_path, head + "\n".join(rows) + draw.choice(["", "\n"]))
        told = []
        for large in (1 << 30, 0):
            monkeypatch.setattr(tables, "LARGE", large)
            try:
                index = index_csv(path, None, wanted=NOTHING)
                told.append([getattr(index, name) for name in SHARED])
                compared += isinstance(index.paths, Column)
            except ConfigError as error:
                told.append(str(error))
        assert told[0] == told[1], path.read_text()
    assert compared > 20


MISTAKES = {
    "path,label\na.mp4,1\nb.mp4,-2\n": (Wanted(), "{unit} {second}: label -2 of 'b.mp4' is negative"),
    "path,label\na.mp4,1\nb.mp4,\n": (Wanted(), "{unit} {second}: 'b.mp4' has no label but {unit} {first} has one, 1"),
    "path,label\na.mp4,1\nb.mp4,0.5\n": (Wanted(), "{unit} {second}: label 0.5 of 'b.mp4' is neither the number"),
    "path,start,end\na.mp4,0,1\nb.mp4,3,2\n": (Wanted(), "{unit} {second}: start 3"),
    "path,start,end\na.mp4,0,1\nb.mp4,3,\n": (Wanted(), "{unit} {second}: 'b.mp4' has a start or an end only"),
    "path,stride\na.mp4,2\nb.mp4,0\n": (Wanted(), "{unit} {second}: stride 0 of 'b.mp4' is none"),
    "path,group\na.mp4,p\nb.mp4,\n": (Wanted(), "{unit} {second}: 'b.mp4' has no group"),
    "path,split\na.mp4,train\nb.mp4,val\n": (Wanted(), "{unit} {second}: the column 'split' says 'val'"),
    "path,n\na.mp4,1\nb.mp4,x\n": (Wanted("regression"), "{unit} {second}: n of 'b.mp4' is 'x'; expected a number"),
    "path,n,m\na.mp4,1,2\nb.mp4,1,\n": (Wanted("regression", ("n", "m")), "{unit} {second}: m of 'b.mp4' is ''"),
    "path,cat\na.mp4,1\nb.mp4,2\n": (Wanted("multilabel", ("cat",)), "{unit} {second}: cat of 'b.mp4' is '2'"),
    "path,cat\na.mp4,1\nb.mp4,2": (Wanted("multilabel", ("dog",)), "the column 'dog' does not exist"),
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_row(text, tmp_path, monkeypatch):
    wanted, expected = MISTAKES[text]
    path = write_list(tmp_path, text)
    line_by_line = message_of(index_csv, path, None, None, wanted)
    as_table(monkeypatch)
    message = message_of(index_csv, path, None, None, wanted)
    assert message == line_by_line
    assert expected.format(unit="line", first=2, second=3) in message
    message = message_of(index_csv, written_parquet(path, text), None, None, wanted)
    assert expected.format(unit="row", first=1, second=2) in message
    assert message.startswith(str(path.with_suffix(".parquet")))


def written_parquet(path, text):
    """The table of a text without quotes, whole numbers and others as such."""
    head, *rows = [line.split(",") for line in text.strip().split("\n")]
    columns = {}
    for name, values in zip(head, zip(*rows, strict=True), strict=True):
        values = [value or None for value in values]
        for kind in (int, float):
            try:
                values = [None if value is None else kind(value) for value in values]
                break
            except ValueError:
                continue
        columns[name] = values
    target = path.with_suffix(".parquet")
    parquet.write_table(pa.table(columns), target)
    return target


PLAIN = ["classes", "segments", "strides", "groups", "labels", "columns", "number columns", "several numbers"]


@pytest.mark.parametrize("name", PLAIN)
def test_parquet_is_read_as_a_text_of_the_same_rows(name, tmp_path):
    text, wanted = TEXTS[name]
    path = write_list(tmp_path, text)
    same(index_csv(written_parquet(path, text), None, wanted=wanted), index_csv(path, None, wanted=wanted))


def test_columns_of_parquet_may_be_of_many_types(tmp_path):
    path = tmp_path / "l.parquet"
    columns = {
        "path": pa.array(["a.mp4", "b.mp4", "a.mp4"]).dictionary_encode(),
        "label": pa.array([["walk", "run"], [], ["run"]]),
        "start": pa.array([0, None, 2], pa.int16()),
        "end": pa.array([1.5, float("nan"), 4], pa.float32()),
    }
    parquet.write_table(pa.table(columns), path, row_group_size=2)
    index = index_csv(path, None, wanted=Wanted("multilabel"))
    assert index.label_sets == ((0, 1), (), (0,))
    assert index.class_names == ("run", "walk")
    assert index.segments == ((0.0, 1.5), None, (2.0, 4.0))
    parquet.write_table(pa.table({"path": [b"a.mp4"], "label": [True]}), path)
    assert index_csv(path, None).class_names == ("True",)
    parquet.write_table(pa.table({"video": pa.array(["a.mp4", "b.mp4"], pa.string_view()), "label": [1.0, 0.0]}), path)
    assert index_csv(path, None).labels == (1, 0)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"path": pa.array([], pa.string())}, "lists no video"),
        ({"path": ["a.mp4", None]}, "row 2 has no path"),
        ({"path": ["a.mp4", ""]}, "row 2 has no path"),
        ({"path": [1, 2]}, "the column 'path' holds int64; expected text"),
        ({"path": ["a.mp4"], "label": [{"x": 1}]}, "the column 'label' holds struct<x: int64>; expected text or"),
        ({"path": [b"\xff"]}, "l.parquet is no Parquet that can be read (Invalid UTF8"),
        ({"label": [1]}, "the header 'label' names no column of paths"),
    ],
)
def test_parquet_that_is_no_list(table, expected, tmp_path):
    path = tmp_path / "l.parquet"
    parquet.write_table(pa.table(table), path)
    message = message_of(index_csv, path, None)
    assert message.startswith(str(path))
    assert expected in message


def test_a_file_that_is_no_parquet(tmp_path):
    path = write_list(tmp_path, "a.mp4\n", "l.parquet")
    assert f"{path} is no Parquet that can be read" in message_of(index_csv, path, None)
    assert f"the list {tmp_path}/none.parquet cannot be read" in message_of(index_csv, tmp_path / "none.parquet", None)


def test_without_the_library_a_text_is_read_anyhow_and_parquet_is_refused(tmp_path, monkeypatch):
    as_table(monkeypatch)
    monkeypatch.setattr(tables, "has_arrow", lambda: False)
    monkeypatch.setattr("mae.data.lists.text_list.has_arrow", lambda: False)
    index = index_csv(write_list(tmp_path, "path,label\na.mp4,1\n"), None)
    assert index.paths == (f"{tmp_path}/a.mp4",)
    ((name, told),) = index.notes
    assert (name, told.split(":")[0]) == ("a long list", "it is read in seconds where pyarrow is installed")
    message = message_of(index_csv, written_parquet(tmp_path / "l.csv", "path\na.mp4\n"), None)
    assert "lists of Parquet are read by pyarrow, which is not installed: pip install" in message


def long_list(tmp_path, monkeypatch, count=100):
    """Of directories of frames, of which every tenth is looked at, some missing."""
    monkeypatch.setattr(index_module, "MOST_LOOKED_FOR", 50)
    monkeypatch.setattr(index_module, "SAMPLE", 10)
    path = tmp_path / "l.parquet"
    parquet.write_table(pa.table({"path": [f"{number}" for number in range(count)]}), path)
    return path, np.linspace(0, count - 1, 10).round().astype(int).tolist()


def test_of_a_very_long_list_a_sample_is_looked_for(tmp_path, monkeypatch):
    path, sample = long_list(tmp_path, monkeypatch)
    index = index_csv(path, None)
    assert places_to_look(index) == sample
    message = message_of(check_files, index, 0.5, None, sample)
    assert f"none of the 10 looked for, of the 100 listed videos exists, the first would be {tmp_path}/0" in message
    touch(tmp_path, *(f"{number}/img_0.jpg" for number in sample[1:]))
    dataset = CsvDataset("csv", 4, None, str(path), None, None, None, [], 0)
    index = build_index(dataset, 0.1)
    assert index.missing == 0
    assert ("looked for", "10 of 100 videos, evenly over the list, of which 1 are missing") in index.rows()
    chosen = build_index(dataset, 0.1, frames="img_*")
    assert chosen.paths[3] == f"{tmp_path}/3/img_*"
    assert chosen.digest == choose_frames(index, "img_*", places=sample).digest != index.digest
    touch(tmp_path, "0")
    message = message_of(build_index, dataset, 0.1, None, "img_*")
    assert f"{tmp_path}/99 is a directory of frames and {tmp_path}/0 is none" in message


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_lists_of_a_fine_tuning_are_those_of_texts(task, tmp_path):
    """Held out by groups, and numbered as the training list is."""
    labels = ["run", "sit", "walk"] if task != "regression" else ["1.5", "2", "3"]
    rows = [f"{number}.mp4,{labels[number % 3]},g{number % 4}\n" for number in range(12)]
    touch(tmp_path, *(f"{number}.mp4" for number in range(12)))
    train = "path,label,group\n" + "".join(rows)
    val = f"path,label,group\n0.mp4,{labels[2]},other\n1.mp4,{labels[0]},other\n"
    found = []
    for make in (write_list, lambda place, text, name: written_parquet(place / name, text)):
        lists = [str(make(tmp_path, text, f"{name}.csv")) for name, text in (("train", train), ("val", val))]
        for dataset in (
            CsvDataset("csv", 4, None, lists[0], lists[1], None, None, [], 0),
            CsvDataset("csv", 4, None, lists[0], None, None, None, [], 0.3),
        ):
            splits = build_splits(dataset, 0, task=task)
            found.append([[getattr(index, name) for name in SHARED] for index in (splits.train, splits.val)])
            found[-1].append([index.rows() for index in (splits.train, splits.val)])
            found[-1].append(splits.shared)
    assert found[:2] == found[2:]


def test_a_holdout_of_millions_needs_groups(tmp_path, monkeypatch):
    path = tmp_path / "l.parquet"
    parquet.write_table(pa.table({"path": [f"{number}.mp4" for number in range(8)], "label": [0, 1] * 4}), path)
    index = index_csv(path, None)
    rest, held = hold_out_groups(index, 0.25)
    assert len(held.paths) == 2
    assert {*rest.paths, *held.paths} == {*index.paths}
    monkeypatch.setattr("mae.data.lists.hold_out._MOST_SINGLE", 7)
    assert "of a list of 8 videos needs a column group" in message_of(hold_out_groups, index, 0.25)
    monkeypatch.setattr("mae.data.lists.hold_out._MOST_SINGLE", 8)
    monkeypatch.setattr("mae.data.lists.hold_out._MOST_SUMS", 23)
    assert "8 groups with 2 classes are too many to weigh" in message_of(hold_out_groups, index, 0.25)
