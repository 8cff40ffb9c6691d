import os
import zipfile

import cv2
import numpy as np
import pytest
from whole_clips import read_clip

from mae.data.lists.index import index_csv
from mae.data.pack import __main__ as command
from mae.data.pack import one, shards
from mae.data.pack.__main__ import PackConfig, main, pack, parse
from mae.data.pack.output import only_one_in
from mae.data.videos.shards import names_in
from mae.errors import ConfigError

VIDEOS = ("run/a", "run/b", "walk/c", "walk/d", "walk/e")
TWO = PackConfig(videos_per_file=2)


@pytest.fixture
def videos(tmp_path):
    """Five directories of three pictures; each video is a bit lighter than the one before."""
    for level, name in enumerate(VIDEOS):
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(3):
            write_picture(tmp_path / "in" / name / f"{number}.png", 40 * level + 4 * number)
    return tmp_path / "in"


def write_picture(path, level):
    cv2.imwrite(str(path), np.full((16, 16, 3), level, np.uint8))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def listed(out):
    return [os.path.relpath(path, out) for path in index_csv(out / "list.csv", None).paths]


def check_clips(out):
    """Every listed video is the one it is called after."""
    index = index_csv(out / "list.csv", None)
    assert len(index.paths) == len(VIDEOS)
    for path in index.paths:
        level = 40 * VIDEOS.index("/".join(path.removesuffix(".zip").rsplit("/", 2)[-2:]))
        np.testing.assert_allclose(read_clip(path, np.arange).mean((1, 2, 3)), [level, level + 4, level + 8], atol=2)


def test_so_many_videos_are_a_file(videos, out, capsys):
    assert main([str(videos), str(out), "videos_per_file=2"]) == 0
    assert "5 packed, 0 of them earlier" in capsys.readouterr().out
    assert files_in(out) == ["classes.txt", "list.csv", "shard-00000.zip", "shard-00001.zip", "shard-00002.zip"]
    assert [names_in(str(out / f"shard-0000{number}.zip")) for number in range(3)] == [
        ["run/a.zip", "run/b.zip"],
        ["walk/c.zip", "walk/d.zip"],
        ["walk/e.zip"],
    ]
    assert listed(out)[2:4] == ["shard-00001.zip/walk/c.zip", "shard-00001.zip/walk/d.zip"]
    assert index_csv(out / "list.csv", None).labels == (0, 0, 1, 1, 1)
    check_clips(out)


def test_unpacked_shards_are_what_is_written_without(videos, out, tmp_path):
    pack(videos, out, TWO)
    pack(videos, tmp_path / "each", PackConfig())
    for shard in out.glob("*.zip"):
        with zipfile.ZipFile(shard) as archive:
            assert archive.testzip() is None
            for name in archive.namelist():
                assert archive.read(name) == (tmp_path / "each" / name).read_bytes()


def test_shards_stay_and_what_is_new_or_changed_gets_into_further_ones(videos, out):
    pack(videos, out, TWO)
    before = {path.name: path.read_bytes() for path in out.glob("*.zip")}
    write_picture(videos / "run/b/2.png", 48)
    os.utime(videos / "run/b/2.png", ns=(1, 1 << 62))
    (videos / "walk/f").mkdir()
    write_picture(videos / "walk/f/0.png", 7)
    outcome = pack(videos, out, TWO)
    assert (outcome.kept, len(outcome.packed)) == (4, 6)
    assert {name: (out / name).read_bytes() for name in before} == before
    assert names_in(str(out / "shard-00003.zip")) == ["run/b.zip", "walk/f.zip"]
    assert listed(out)[:2] == ["shard-00000.zip/run/a.zip", "shard-00003.zip/run/b.zip"]
    assert pack(videos, out, TWO).kept == 6, "the later one of two counts"
    assert len(list(out.glob("*.zip"))) == 4


def test_broken_videos_leave_no_gap_and_come_later(videos, out):
    (videos / "run/b/1.png").write_bytes(b"no picture")
    outcome = pack(videos, out, TWO)
    assert list(outcome.broken) == [str(videos / "run/b")]
    assert names_in(str(out / "shard-00000.zip")) == ["run/a.zip", "walk/c.zip"]
    write_picture(videos / "run/b/1.png", 44)
    assert pack(videos, out, TWO).kept == 4
    assert names_in(str(out / "shard-00002.zip")) == ["run/b.zip"]
    check_clips(out)


@pytest.mark.parametrize("after", range(5))
def test_interrupted_at_any_video_nothing_is_lost(videos, out, monkeypatch, after):
    written = []
    write_packed = one.write_packed

    def interrupted(path, *others):
        if len(written) == after:
            raise KeyboardInterrupt
        written.append(path)
        return write_packed(path, *others)

    monkeypatch.setattr(one, "write_packed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pack(videos, out, PackConfig(videos_per_file=2, workers=1))
    monkeypatch.undo()
    assert all(zipfile.is_zipfile(path) for path in out.rglob("*.zip"))
    assert not (out / "list.csv").exists()
    outcome = pack(videos, out, TWO)
    assert outcome.kept == after
    assert len(list(out.glob("*.zip"))) == 3
    assert files_in(out)[0] == "classes.txt", "nothing waits any more"
    check_clips(out)


def test_killed_between_a_shard_and_its_leftovers(videos, out, monkeypatch):
    """Also a shard that was half written is not there under its name, and goes."""
    pack(videos, out, TWO)
    waiting = out / ".unfinished" / "walk" / "e.zip"
    waiting.parent.mkdir(parents=True)
    with zipfile.ZipFile(out / "shard-00002.zip") as archive:
        waiting.write_bytes(archive.read("walk/e.zip"))
    half = [out / ".shard-00003.zip.123.tmp.zip", out / ".unfinished/walk/.f.zip.123.tmp.zip"]
    for path in half:
        path.write_bytes(b"half")
    outcome = pack(videos, out, TWO)
    assert outcome.kept == 5
    assert files_in(out) == ["classes.txt", "list.csv", "shard-00000.zip", "shard-00001.zip", "shard-00002.zip"]
    check_clips(out)


def test_a_full_disk_keeps_what_is_packed(videos, out, monkeypatch):
    def full(path, packed):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(shards, "write_shard", full)
    with pytest.raises(ConfigError, match=r"shard-00000.zip cannot be written \(No space left on device\); make room"):
        pack(videos, out, TWO)
    monkeypatch.undo()
    assert pack(videos, out, TWO).kept >= 2
    check_clips(out)


def test_a_damaged_shard_is_told_and_packed_again(videos, out, capsys):
    pack(videos, out, TWO)
    whole = (out / "shard-00001.zip").read_bytes()
    (out / "shard-00001.zip").write_bytes(whole[:-30])
    assert main([str(videos), str(out), "videos_per_file=2"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "damaged shard-00001.zip is damaged: " in told
    assert "packed again, these files can go" in told
    assert names_in(str(out / "shard-00003.zip")) == ["walk/c.zip", "walk/d.zip"]
    check_clips(out)


@pytest.mark.parametrize("videos_per_file", [1, 2])
def test_parts_are_packed_by_themselves_and_listed_by_the_whole(videos, out, videos_per_file, capsys):
    words = [str(videos), str(out), f"videos_per_file={videos_per_file}"]
    for number in (2, 1):
        assert main([*words, f"shard={number}/2"]) == 0
        assert not (out / "list.csv").exists()
    assert "once all 2 parts are packed, the same command without shard= writes" in capsys.readouterr().out
    if videos_per_file == 2:
        assert names_in(str(out / "shard-1-of-2-00000.zip")) == ["run/a.zip", "walk/c.zip"]
        assert names_in(str(out / "shard-2-of-2-00000.zip")) == ["run/b.zip", "walk/d.zip"]
    assert main(words) == 0
    assert "5 packed, 5 of them earlier" in capsys.readouterr().out
    assert not [name for name in files_in(out) if "unfinished" in name]
    check_clips(out)


def test_a_whole_takes_over_what_an_interrupted_part_left(videos, out, monkeypatch):
    monkeypatch.setattr(shards.Shards, "finish", lambda shards: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        pack(videos, out, PackConfig(videos_per_file=2, shard="1/2"))
    monkeypatch.undo()
    assert "unfinished-1-of-2/walk/e.zip" in " ".join(files_in(out))
    outcome = pack(videos, out, TWO)
    assert outcome.kept == 3
    check_clips(out)


def test_parts_keep_their_hands_off_each_other(videos, out):
    """What another part is writing looks like what a killed process has left."""
    one_part, other = PackConfig(shard="1/2"), PackConfig(shard="2/2")
    (out / "run").mkdir(parents=True)
    own, others = out / "run/.a.zip.123.tmp.zip", out / "run/.b.zip.123.tmp.zip"
    for path in (own, others):
        path.write_bytes(b"half")
    with only_one_in(out, other.share):
        pack(videos, out, one_part)
        with pytest.raises(ConfigError, match=r"another process is packing shard=2/2 into"):
            pack(videos, out, other)
        with pytest.raises(ConfigError, match="another process is packing into"):
            pack(videos, out, PackConfig())
    assert (own.exists(), others.exists()) == (False, True)
    with only_one_in(out, None), pytest.raises(ConfigError, match="a process without shard= is packing into"):
        pack(videos, out, other)


def test_what_is_in_shards_can_be_packed_again(videos, out, tmp_path):
    pack(videos, out, TWO)
    smaller = PackConfig(videos_per_file=3, short_side=8)
    assert len(pack(out / "list.csv", tmp_path / "small", smaller).packed) == 5
    index = index_csv(tmp_path / "small" / "list.csv", None)
    assert index.paths[3] == str(tmp_path / "small/shard-00001.zip/shard-00001.zip/walk/d.zip.zip")
    assert read_clip(index.paths[3], np.arange).shape == (3, 8, 8, 3)
    assert pack(out / "list.csv", tmp_path / "small", smaller).kept == 5


def test_no_shard_is_as_small_as_that(tmp_path):
    with pytest.raises(ConfigError, match=r"videos_per_file=0 must be 1 \(a file for each video\) or more"):
        parse([str(tmp_path), "out", "videos_per_file=0"])
    assert command.PackConfig().videos_per_file == 1
