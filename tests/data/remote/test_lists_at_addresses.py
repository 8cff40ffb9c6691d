"""Lists and videos at addresses, here in memory, in place of files."""

import io

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from list_files import message_of, write_list
from numbered_frames import numbered_frames
from pyarrow import parquet
from written_videos import write_video

from mae.data.config import CsvDataset
from mae.data.lists.given import given_videos
from mae.data.lists.in_memory import index_entries
from mae.data.lists.index import build_index
from mae.data.lists.text_list import index_csv
from mae.data.remote import copies
from mae.data.scan.examine import examine
from mae.data.videos.read import read_frames, read_video
from mae.errors import BadVideo


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """A bucket with two videos and lists of them."""
    monkeypatch.setattr(copies, "_copies", copies.Copies(tmp_path / "copies", pauses=()))
    files = fsspec.filesystem("memory")
    path = write_video(tmp_path / "a.avi", numbered_frames(4))
    files.put(path, "/bucket/walk/a.avi")
    files.put(path, "/bucket/walk/b.avi")
    files.pipe_file("/bucket/lists/train.csv", b"path,label\n../no\xc3\xbcn.avi,1\nwalk/a.avi,0\n")
    files.pipe_file("/bucket/lists/classes.txt", b"walk\nrun\n")
    table = io.BytesIO()
    parquet.write_table(
        pa.table({"path": ["walk/a.avi", "memory://bucket/walk/b.avi"], "label": ["run", "walk"]}), table
    )
    files.pipe_file("/bucket/lists/train.parquet", table.getvalue())
    yield files
    files.rm("/", recursive=True)


def dataset(train, root=None):
    return CsvDataset("csv", 4, root, train, None, None, None, [], 0)


def test_a_list_and_its_classes_at_an_address(memory):
    index = index_csv("memory://bucket/lists/train.csv", "memory://bucket")
    assert index.paths == ("memory://bucket/../noün.avi", "memory://bucket/walk/a.avi")
    assert (index.labels, index.class_names) == ((1, 0), ("walk", "run"))
    memory.pipe_file("/bucket/lists/train.csv", b"walk/a.avi 7\n")
    message = message_of(index_csv, "memory://bucket/lists/train.csv", None)
    assert message.startswith("memory://bucket/lists/train.csv line 1: label 7 of 'walk/a.avi' has no name: memory://")
    assert "copies" not in message, "a copy is nobody's business"
    memory.rm("/bucket/lists/classes.txt")
    assert index_csv("memory://bucket/lists/train.csv", None).paths == ("memory://bucket/lists/walk/a.avi",)


def test_videos_of_a_table_are_looked_for(memory):
    index = build_index(dataset("lists/train.parquet", "memory://bucket/"), 0)
    assert index.paths == ("memory://bucket/walk/a.avi", "memory://bucket/walk/b.avi")
    memory.rm("/bucket/walk/b.avi")
    message = message_of(build_index, dataset("memory://bucket/lists/train.parquet", "memory://bucket"), 0.1)
    assert "1 of 2 listed videos are missing, more than data.max_bad_frac=0.1 allows, the first: memory://" in message


def test_a_list_of_files_and_addresses(memory, tmp_path):
    path = write_list(tmp_path, "memory://bucket/walk/a.avi 0\na.avi 1\nmemory://bucket/walk/c.avi 1\n")
    index = build_index(dataset(str(path)), 0.5)
    assert (index.paths[1], index.missing) == (f"{tmp_path}/a.avi", 1)
    assert index_entries("videos=", [*index.paths]).paths == index.paths
    given = given_videos("videos=", path)
    assert given.names == ("bucket/walk/a.avi", "a.avi", "bucket/walk/c.avi")


def test_what_is_named_on_a_command_line(memory):
    one = given_videos("video=", "memory://bucket/walk/a.avi")
    assert (one.kind, one.index.paths, one.names) == ("video", ("memory://bucket/walk/a.avi",), ("bucket/walk/a.avi",))
    several = given_videos("video=", "memory://bucket/lists/train.csv", root="memory://bucket")
    assert (several.kind, several.path.name, several.names[1]) == ("list", "train.csv", "bucket/walk/a.avi")
    message = message_of(given_videos, "video=", "memory://bucket/walk/a.avi", "memory://bucket")
    assert message == "root=memory://bucket is for lists; video=memory://bucket/walk/a.avi is a video at an address"


def test_videos_at_addresses_are_read_as_files(memory, tmp_path):
    frames = read_video("memory://bucket/walk/a.avi", [0, 3])
    assert np.array_equal(frames, read_video(tmp_path / "a.avi", [0, 3]))
    assert examine("memory://bucket/walk/b.avi").frames == 4
    with pytest.raises(BadVideo, match=r"^missing$"):
        read_frames("memory://bucket/c.avi", np.arange, lambda _, frame: [frame], timeout_s=10)
    assert examine("memory://bucket/c.avi").reason == "missing"


def test_a_process_is_told_where_its_copies_are(memory, tmp_path):
    copies.use_copies(str(tmp_path / "mine"), 1)
    read_video("memory://bucket/walk/a.avi")
    assert [path.suffix for path in (tmp_path / "mine").glob("*/*") if path.name != "lock"] == [".avi"]
