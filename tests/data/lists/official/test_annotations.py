import pytest
from list_files import message_of, write_list

from mae.data.lists.official.annotations import (
    AnnotatedVideo,
    annotation_file,
    checked_videos,
    optional_file,
    read_json,
    read_lines,
    read_table,
)


def test_the_first_name_counts(tmp_path):
    write_list(tmp_path, "x", "b.csv")
    assert annotation_file(tmp_path, "a.csv", "b.csv") == tmp_path / "b.csv"
    assert optional_file(tmp_path, "a.csv") is None
    message = message_of(annotation_file, tmp_path, "a.csv", "c.csv")
    assert f"annotations={tmp_path} holds no a.csv or c.csv" in message
    assert "absent is not a directory" in message_of(annotation_file, tmp_path / "absent", "a.csv")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", list, "is empty; is the download complete?"),
        (b" \n", list, "is empty"),
        (b"[1, 2", list, "is not JSON"),
        (b"[]", list, "holds no list of videos"),
        (b"{}", list, "holds no list of videos"),
        (b"[1]", dict, "holds no object of names and numbers"),
        (b"caf\xe9", list, "not a UTF-8 text (byte 3)"),
    ],
)
def test_json_mistakes(tmp_path, content, kind, message):
    assert message in message_of(read_json, write_list(tmp_path, content), kind)


def test_json(tmp_path):
    assert read_json(write_list(tmp_path, '\ufeff{"a": "1"}'), dict) == {"a": "1"}


def test_lines(tmp_path):
    assert list(read_lines(write_list(tmp_path, "a 1 \r\n\r\nb 2"))) == [(1, "a 1"), (3, "b 2")]


def test_table(tmp_path):
    rows = list(read_table(write_list(tmp_path, 'b,a,c\r\n1,"x, y",3\r\n2,z,4\r\n'), ("a", "b")))
    assert rows == [(2, {"a": "x, y", "b": "1", "c": "3"}), (3, {"a": "z", "b": "2", "c": "4"})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,c\n1,2\n", "has no column 'b' in its first line; expected a,b"),
        ("a,b\n1\n", "line 2: no b"),
        ("a,b\n1,2\n,3\n", "line 3: no a"),
        ("a,b\n", "lists no video"),
    ],
)
def test_table_mistakes(tmp_path, text, message):
    assert message in message_of(lambda: list(read_table(write_list(tmp_path, text), ("a", "b"))))


def test_a_video_listed_twice(tmp_path):
    videos = [
        (3, AnnotatedVideo("x", ("x",), 0)),
        (4, AnnotatedVideo("y", ("y",), 0)),
        (7, AnnotatedVideo("x", ("x",), 1)),
    ]
    assert "x is listed twice, at 3 and 7" in message_of(checked_videos, tmp_path, videos)
    assert "lists no video" in message_of(checked_videos, tmp_path, [])
    assert [video.name for video in checked_videos(tmp_path, videos[:2])] == ["x", "y"]
