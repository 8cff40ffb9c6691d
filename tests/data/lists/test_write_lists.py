import os

import pytest
from list_files import message_of, names_of

from mae.data.lists.text_list import index_csv
from mae.data.lists.write_lists import list_text, write_files

NAMES = [
    "a.mp4",
    "x/my video, part 1.mp4",
    'x/"quoted".mp4',
    '"both ends"',
    "x/#1 [best] (a;b)&c!.avi",
    "#comment.mp4",
    " blank first and last ",
    "x/clip 1 2 3",
    "x/clip 12.mp4 3 0 1",
    "x/a.mp4,3",
    "~nobody/a.mp4",
    "~",
    "path",
    "first word",
    "vidéo\u2003wide.mp4",
    "x/tab\tand 'quote'.mp4",
    "back\\slash.mp4",
]


@pytest.mark.parametrize("labels", [None, tuple(range(len(NAMES)))])
@pytest.mark.parametrize("place", range(len(NAMES)))
def test_lists_read_back(tmp_path, labels, place):
    """Each name as the first line, which could pass for a header, and as a later one."""
    names = NAMES[place:] + NAMES[:place]
    (tmp_path / "path").touch()  # a file that is called like a column
    write_files({tmp_path / "list.csv": list_text(names, labels)}, overwrite=False)
    index = index_csv(tmp_path / "list.csv", None)
    assert names_of(index, tmp_path) == names
    assert index.labels == labels
    assert index.segments is None


def test_a_list_by_hand():
    assert list_text(["a b.mp4", "x/c.mp4", 'd".mp4'], [3, 0, 1]) == 'path,label\n"a b.mp4",3\nx/c.mp4,0\n"d"".mp4",1\n'
    assert list_text(["1234", "a/b.mp4"], None) == "./1234\na/b.mp4\n"
    assert list_text(["a.mp4", "b.mp4"], None, None, [2, None]) == "path,stride\na.mp4,2\nb.mp4,\n"
    whole = list_text(["a.mp4"], [3], [(0.5, 2)], [4])
    assert whole == "path,label,start,end,stride\na.mp4,3,0.5,2,4\n"


@pytest.mark.parametrize("name", ["a\nb.mp4", "a\rb.mp4"])
def test_names_that_no_list_can_hold(name):
    assert "holds a line break" in message_of(list_text, [name], None)


def test_names_that_are_not_utf8():
    assert "is not valid UTF-8" in message_of(list_text, [os.fsdecode(b"caf\xe9.mp4")], None)


def test_other_content_is_replaced_only_on_demand(tmp_path):
    one, two = tmp_path / "new" / "one.csv", tmp_path / "two.csv"
    two.write_text("mine")
    message = message_of(write_files, {one: "1", two: "2"}, False)
    assert f"something else is in {two}: overwrite=true replaces it" in message
    assert not one.exists()
    write_files({one: "1", two: "2"}, overwrite=True)
    assert (one.read_text(), two.read_text()) == ("1", "2")
    before = one.stat().st_ino
    write_files({one: "1"}, overwrite=False)
    assert one.stat().st_ino == before, "what is the same is left alone"
    assert sorted(os.listdir(tmp_path)) == ["new", "two.csv"]


def test_what_was_read_is_never_replaced(tmp_path):
    source = tmp_path / "train.csv"
    source.write_text("label,youtube_id")
    (tmp_path / "linked").symlink_to(tmp_path)
    message = message_of(write_files, {tmp_path / "linked" / "train.csv": "x"}, True, [source])
    assert "is an annotation that was read; give another folder for the lists, as output=" in message
    assert source.read_text() == "label,youtube_id"


def test_a_failed_write_is_told(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be written" in message_of(write_files, {tmp_path / "file" / "train.csv": "x"}, False)
    (tmp_path / "directory").mkdir()
    assert "cannot be read (Is a directory)" in message_of(write_files, {tmp_path / "directory": "x"}, True)
