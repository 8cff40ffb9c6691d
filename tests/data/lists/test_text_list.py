import pytest
from list_files import message_of, names_of, touch, write_list

from mae.data.lists.text_list import index_csv


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


@pytest.mark.parametrize(
    ("text", "paths", "labels", "names"),
    [
        ("a.mp4,walk\nb.mp4,run\n", ["a.mp4", "b.mp4"], (1, 0), ("run", "walk")),
        ("a.mp4 walk\r\nb.mp4 run fast\r\n", ["a.mp4", "b.mp4"], (1, 0), ("run fast", "walk")),
        ("label,path\nwalk,a.mp4\nrun,b.mp4\n", ["a.mp4", "b.mp4"], (1, 0), ("run", "walk")),
        ('"path","label"\n"a.mp4","walk, slowly"\n', ["a.mp4"], (0,), ("walk, slowly",)),
        ("\ufeffpath\tlabel\nvidéo.mp4\tmarché\n", ["vidéo.mp4"], (0,), ("marché",)),
        ('"a","1"\n"b","0"\n', ["a", "b"], (1, 0), None),
        ("a.mp4,1.0\nb.mp4,0.0\n", ["a.mp4", "b.mp4"], (1, 0), None),
        ("path,num_frames\na,42\nb,17\n", ["a", "b"], None, None),
        ("path num_frames label\na 42 1\nb 17 0\n", ["a", "b"], (1, 0), None),
        ("path,label\na b.mp4,\nb.mp4,\n", ["a b.mp4", "b.mp4"], None, None),
        ("first\nsecond\n", ["first", "second"], None, None),
    ],
)
def test_what_people_bring(tmp_path, text, paths, labels, names):
    index = index_csv(write_list(tmp_path, text), None)
    assert names_of(index, tmp_path) == paths
    assert (index.labels, index.class_names) == (labels, names)
    assert index.is_numbered_by_name == (names is not None)


def test_names_of_classes_behind_directories(tmp_path):
    touch(tmp_path, "frames/1/1.jpg", "frames/a, b/1.jpg")
    index = index_csv(write_list(tmp_path, "frames/1,walk\nframes/2,run\n"), None)
    assert (names_of(index, tmp_path), index.labels) == (["frames/1", "frames/2"], (1, 0))
    index = index_csv(write_list(tmp_path, "frames/a, b\nframes/c, d\n"), None)
    assert (names_of(index, tmp_path), index.labels) == (["frames/a, b", "frames/c, d"], None), "it is a directory"


def test_columns_that_mean_nothing_here_are_told(tmp_path):
    index = index_csv(write_list(tmp_path, "id,path,label,caption\n7,a.mp4,3,a cat\n"), None)
    assert dict(index.rows())["columns not used"] == "id, caption"


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
    assert "list.csv line 3: 'b.mp4' has no label but line 2 has one, 1; give every line" in some
    some = message_of(index_csv, write_list(tmp_path, "a.mp4\nb.mp4 1\n"), None)
    assert "line 1: 'a.mp4' has no label but line 2 has one" in some
    negative = message_of(index_csv, write_list(tmp_path, "a.mp4 0 -1\n"), None)
    assert "line 1: label -1 of 'a.mp4 0' is negative" in negative
    large = message_of(index_csv, write_list(tmp_path, "a.mp4 1000000\nb.mp4 20231231\n"), None)
    assert "line 2: label 20231231 of 'b.mp4' is no class" in large
    assert "lists no video" in message_of(index_csv, write_list(tmp_path, "\n# nothing\n"), None)
    assert "not a UTF-8 text" in message_of(index_csv, write_list(tmp_path, b"caf\xe9.mp4\n"), None)
    assert "cannot be read (No such file" in message_of(index_csv, tmp_path / "absent.csv", None)
    assert "cannot be read (Is a directory" in message_of(index_csv, tmp_path, None)
    assert "is not a directory" in message_of(index_csv, write_list(tmp_path, "a.mp4\n"), tmp_path / "no")


@pytest.mark.parametrize(
    ("text", "labels", "segments"),
    [
        ("a.mp4,3,0,2.5\nb.mp4,0,1,2\n", (3, 0), ((0, 2.5), (1, 2))),
        ("a.mp4,3,,\nb.mp4 0 1 2\n", (3, 0), (None, (1, 2))),
        ("a.mp4,3,,\nb.mp4,0,,\n", (3, 0), None),
        ("path,label\na.mp4,3,0,1\nb.mp4,0,1,2\n", (3, 0), ((0, 1), (1, 2))),
        ("path,start,end\na.mp4,0,1\nb.mp4,,\n", None, ((0, 1), None)),
        ("path label end start\na.mp4 3 1 0\nb.mp4 0 2 1\n", (3, 0), ((0, 1), (1, 2))),
    ],
)
def test_lists_with_segments(tmp_path, text, labels, segments):
    index = index_csv(write_list(tmp_path, text), None)
    assert names_of(index, tmp_path) == ["a.mp4", "b.mp4"]
    assert index.labels == labels
    assert index.segments == segments


@pytest.mark.parametrize(
    ("text", "labels", "strides"),
    [
        ("path,stride\na.mp4,4\nb.mp4,2\n", None, (4, 2)),
        ("path,label,stride\na.mp4,3,\nb.mp4,0,2\n", (3, 0), (None, 2)),
        ("path label stride\na.mp4 3 4\nb.mp4 0 2\n", (3, 0), (4, 2)),
        ("path,stride\na.mp4,\nb.mp4,\n", None, None),
        ("a.mp4 4\nb.mp4 2\n", (4, 2), None),
    ],
)
def test_lists_with_strides(tmp_path, text, labels, strides):
    index = index_csv(write_list(tmp_path, text), None)
    assert names_of(index, tmp_path) == ["a.mp4", "b.mp4"]
    assert (index.labels, index.strides, index.segments) == (labels, strides, None)


def test_mistakes_in_lists_with_strides(tmp_path):
    path = write_list(tmp_path, "# two sources\npath,stride\na.mp4,4\nb.mp4,1.5\n")
    assert f"{path} line 4: stride 1.5 of 'b.mp4' is none" in message_of(index_csv, path, None)


def test_mistakes_in_lists_with_segments(tmp_path):
    mixed = message_of(index_csv, write_list(tmp_path, "a.mp4,3,0,1\nb.mp4,0\n"), None)
    assert "list.csv line 2: 'b.mp4' has no start and end but line 1 has; where the whole video" in mixed
    mixed = message_of(index_csv, write_list(tmp_path, "a.mp4,3\n\nb.mp4,0,0,1\n"), None)
    assert "line 1: 'a.mp4' has no start and end but line 3 has" in mixed
    short = message_of(index_csv, write_list(tmp_path, "path,start,end\na.mp4\n"), None)
    assert f"{tmp_path}/list.csv line 2: 'a.mp4' has not the columns path,start,end" in short
    other = message_of(index_csv, write_list(tmp_path, "label,youtube_id,time_start\nrun,abc,3\n"), None)
    assert f"{tmp_path}/list.csv the header" in other


def test_class_names_beside_the_list(tmp_path):
    touch(tmp_path, "root/a.mp4")
    path = write_list(tmp_path, "a.mp4 0\nb.mp4 2\n")
    assert index_csv(path, tmp_path / "root").class_names is None
    write_list(tmp_path, "walk\nrun\njump\n", "classes.txt")
    index = index_csv(path, tmp_path / "root")
    assert index.class_names == ("walk", "run", "jump")
    write_list(tmp_path, "walk\nrun\n", "classes.txt")
    message = message_of(index_csv, path, None)
    assert f"line 2: label 2 of 'b.mp4' has no name: {tmp_path}/classes.txt has 2, for labels 0 to 1" in message
    named = index_csv(write_list(tmp_path, "a.mp4,run\nb.mp4,walk\n", "named.csv"), None)
    assert (named.labels, named.class_names) == ((1, 0), ("walk", "run")), "numbered as the file says"
    message = message_of(index_csv, write_list(tmp_path, "a.mp4,run\nb.mp4,walks\n", "named.csv"), None)
    assert (
        f"named.csv line 2: {tmp_path}/classes.txt: the class 'walks' does not exist; did you mean 'walk'?" in message
    )
    given = write_list(tmp_path, "\n".join("abcd"), "names.txt")
    assert index_csv(path, None, given).class_names == ("a", "b", "c", "d")
    unlabelled = index_csv(write_list(tmp_path, "a.mp4\n"), None)
    assert (unlabelled.labels, unlabelled.class_names) == (None, ("walk", "run"))
