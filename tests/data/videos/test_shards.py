import json
import os
import threading
import zipfile

import cv2
import numpy as np
import pytest
from whole_clips import read_clip

from mae.data.lists.folder import index_folder
from mae.data.lists.given import given_videos
from mae.data.lists.index import check_files, index_csv
from mae.data.pack.shards import write_shard
from mae.data.scan.duplicates import find_duplicates
from mae.data.videos import shards as module
from mae.data.videos.file_key import file_key
from mae.data.videos.packed_video import member_name
from mae.data.videos.shards import (
    StoredFile,
    content_sha256,
    is_shard,
    names_in,
    split_shard,
    stretch_of,
    without_shard,
)
from mae.errors import BadVideo, ConfigError
from mae.files import sha256

COUNT = 4


def packed(path, level, extra=b""):
    """A packed video of so many frames, each of one grey: `level` and a bit more from frame to frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"format": "mae-video frames", "version": 2, "count": COUNT, "frames_per_second": 10.0}
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(COUNT):
            picture = np.full((16, 16, 3), level + 8 * number, np.uint8)
            info = zipfile.ZipInfo(member_name(number))
            info.extra = extra
            archive.writestr(info, cv2.imencode(".jpg", picture)[1].tobytes())
        archive.writestr("video.json", json.dumps(about))
    return path


@pytest.fixture
def files(tmp_path):
    """Packed videos of their own, by the names that they have in the shard."""
    levels = {"walk/a.mp4.zip": 20, "walk/ü, b.mp4.zip": 60, "run/c.mp4.zip": 120}
    return {name: packed(tmp_path / "files" / name, level) for name, level in levels.items()}


@pytest.fixture
def shard(tmp_path, files):
    (tmp_path / "set").mkdir()
    write_shard(tmp_path / "set" / "shard-00000.zip", files)
    return tmp_path / "set" / "shard-00000.zip"


def levels_of(path):
    return read_clip(str(path), np.arange).mean(axis=(1, 2, 3)).round()


def reason_of(path):
    with pytest.raises(BadVideo) as caught:
        read_clip(str(path), np.arange)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_video_in_a_shard_reads_as_by_itself(files, shard):
    for name, path in files.items():
        np.testing.assert_array_equal(levels_of(shard / name), levels_of(path))
        assert file_key(str(shard / name))[1] == path.stat().st_size
        assert content_sha256(str(shard / name)) == sha256(path)
    assert levels_of(shard / "run/c.mp4.zip").tolist() == [120, 128, 136, 144]


def test_any_stored_zip_of_packed_videos_is_a_shard(tmp_path, files):
    """As `zip -0 -r` writes one: with folders in it."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("walk/", "")
        for name, path in files.items():
            archive.write(path, name)
    assert is_shard(str(tmp_path / "all.zip"))
    assert names_in(str(tmp_path / "all.zip")) == list(files)
    assert levels_of(tmp_path / "all.zip" / "walk/a.mp4.zip").tolist() == [20, 28, 36, 44]


def test_a_packed_video_of_another_tool_reads_within_a_shard(tmp_path):
    path = packed(tmp_path / "a.zip", 40, extra=b"\x75\x70\x02\x00ab")
    write_shard(tmp_path / "shard-0.zip", {"other.zip": path})
    assert levels_of(tmp_path / "shard-0.zip/other.zip").tolist() == [40, 48, 56, 64]


def test_the_directory_is_read_once_by_many_threads_and_again_after_a_change(files, shard, monkeypatch):
    read = []
    members = module._members
    monkeypatch.setattr(module, "_members", lambda path: read.append(path) or members(path))
    threads = [threading.Thread(target=stretch_of, args=(str(shard / name),)) for name in files for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [str(shard)]
    write_shard(shard, {"other.zip": files["run/c.mp4.zip"]})
    os.utime(shard, ns=(0, 1))
    assert levels_of(shard / "other.zip")[0] == 120
    assert len(read) == 2
    assert reason_of(shard / "walk/a.mp4.zip") == "missing: there is no walk/a.mp4.zip in shard-00000.zip"


def test_what_is_no_place_in_a_shard(shard, tmp_path):
    assert split_shard(str(shard)) is None
    assert split_shard(str(tmp_path / "no.zip" / "a.zip")) is None
    (tmp_path / "folder.zip").mkdir()
    inside = packed(tmp_path / "folder.zip" / "a.zip", 50)
    assert split_shard(str(inside)) is None
    assert levels_of(inside)[0] == 50
    assert reason_of(shard) == "a shard of many packed videos; one of them is shard-00000.zip/NAME"
    assert reason_of(shard / "walk") == "missing: there is no walk in shard-00000.zip"
    assert reason_of(tmp_path / "no.zip" / "a.zip") == "missing"


def test_damage_is_one_line(tmp_path, files, shard):
    whole = shard.read_bytes()
    start = stretch_of(str(shard / "run/c.mp4.zip")).start
    # Behind a whole packed video, further, within the end of one, and before the first end.
    for length, why in {
        start: "its end is missing",
        start + 20: "its end is missing",
        start - 7: "File is not a zip file",
        50: "File is not a zip file",
    }.items():
        shard.write_bytes(whole[:length])
        assert reason_of(shard / "walk/a.mp4.zip") == f"shard-00000.zip is damaged: {why}"
    shard.write_bytes(whole[:start] + bytes(40) + whole[start + 40 :])
    told = "shard-00000.zip is damaged: something else is where run/c.mp4.zip should be"
    assert reason_of(shard / "run/c.mp4.zip") == told
    assert levels_of(shard / "walk/a.mp4.zip")[0] == 20, "others are whole"
    frame = whole.index(b"\xff\xd8", start) + 30
    shard.write_bytes(whole[:frame] + bytes(40) + whole[frame + 40 :])
    assert reason_of(shard / "run/c.mp4.zip") == "000000.jpg in the zip is damaged"


def test_shards_that_no_clip_is_read_from(tmp_path, files):
    path = tmp_path / "shard-1.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(files["run/c.mp4.zip"], "c.zip")
    assert reason_of(path / "c.zip") == "c.zip in shard-1.zip is compressed; make the shard without (zip -0)"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("c.zip", "a")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("c.zip", "b")
    assert reason_of(path / "c.zip") == "shard-1.zip is damaged: it holds two videos of one name"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("c.mp4", "no packed video")
    assert reason_of(path / "c.mp4").startswith("a damaged or foreign zip: ")
    with pytest.raises(BadVideo, match=r"shard-1\.zip is a zip without packed videos in it"):
        names_in(str(path))


def test_a_part_of_a_file_ends_where_the_video_does(files, shard):
    with StoredFile(str(shard / "walk/a.mp4.zip")) as file:
        content = files["walk/a.mp4.zip"].read_bytes()
        assert file.read() == content
        assert file.read_at(100, len(content) - 3) == content[-3:]
        assert file.read_at(100, len(content) + 3) == b""
        assert file.seek(-5, os.SEEK_END) == len(content) - 5
        assert file.read(100) == content[-5:]
        with pytest.raises(ValueError, match="position -1"):
            file.seek(-1)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("shard-00000.zip/walk/a.zip", "walk/a.zip"),
        ("train/shard-1-of-2-00000.zip/a.zip", "train/a.zip"),
        ("shard-0.zip/a.zip", "a.zip"),
        ("walk/a.mp4", "walk/a.mp4"),
        ("walk/shard-00000.zip", "walk/shard-00000.zip"),
    ],
)
def test_paths_as_if_shards_were_unpacked(path, told):
    assert without_shard(path) == told


def test_a_shard_given_is_the_folder_it_unpacks_to(shard):
    names = ("run/c.mp4.zip", "walk/a.mp4.zip", "walk/ü, b.mp4.zip")
    given = given_videos("video=", shard)
    assert (given.kind, given.names) == ("folder", names)
    assert (given.index.labels, given.index.class_names) == ((0, 1, 1), ("run", "walk"))
    one = given_videos("video=", shard / names[2])
    assert (one.kind, one.index.paths) == ("video", (str(shard / names[2]),))
    folder = index_folder(shard.parent)
    assert folder.paths == given.index.paths
    assert folder.labels == given.index.labels
    shard.write_bytes(shard.read_bytes()[:100])
    for find in (index_folder, lambda path: given_videos("video=", path)):
        with pytest.raises(ConfigError, match=r"shard-00000.zip: shard-00000.zip is damaged: .*; copy it again"):
            find(shard.parent)


def test_copies_are_found_within_shards_and_outside(files, shard, tmp_path):
    write_shard(tmp_path / "other.zip", {"copy.zip": files["walk/a.mp4.zip"], "again.zip": files["walk/a.mp4.zip"]})
    inside, outside = given_videos("video=", tmp_path / "other.zip").index, index_folder(shard.parent)
    found = find_duplicates(inside, {"set": outside})
    assert found.same_content == ((str(tmp_path / "other.zip/again.zip"), str(tmp_path / "other.zip/copy.zip")),)
    assert {leak.other_path for leak in found.leaks} == {str(shard / "walk/a.mp4.zip")}


def test_lists_name_videos_in_shards_and_say_what_is_missing(shard):
    lines = "shard-00000.zip/walk/a.mp4.zip 0\nshard-00000.zip/walk/z.mp4.zip 1\n"
    (shard.parent / "list.txt").write_text(lines)
    index = index_csv(shard.parent / "list.txt", None)
    assert index.paths[0] == str(shard / "walk/a.mp4.zip")
    assert check_files(index, 0.5) == 1
    with pytest.raises(ConfigError, match=r"z\.mp4\.zip \(missing: there is no walk/z\.mp4\.zip in shard-00000\.zip\)"):
        check_files(index, 0.0)
    shard.write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"none of the 2 .*a\.mp4\.zip \(shard-00000\.zip is damaged: "):
        check_files(index, 0.5)
