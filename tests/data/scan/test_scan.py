import csv
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pyarrow
import pytest
from encoded_videos import write_song
from list_files import message_of
from numbered_frames import numbered_frames
from patience import PATIENCE
from pyarrow import parquet
from written_videos import write_video

from mae.data.executors import AHEAD, Threads, Workers
from mae.data.lists.index import index_csv
from mae.data.lists.video_index import VideoIndex
from mae.data.remote.copies import Copies
from mae.data.scan import __main__ as module
from mae.data.scan import examine as examining
from mae.data.scan.__main__ import ScanConfig, main, parse
from mae.data.scan.files import write_scan
from mae.data.scan.table import scan_rows
from mae.data.side_by_side import side_by_side
from mae.data.videos.scan_cache import ScanCache, cache_path
from mae.data.videos.scan_report import ScanReport
from mae.data.videos.time_limit import within
from mae.errors import ConfigError

ROOT = Path(__file__).parents[3]
GOOD = ScanReport(decoder="PyAV", codec="h264", width=8, height=6, rate=25.0, claimed=10, frames=10)


@pytest.fixture(autouse=True)
def cache_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def videos(make_video, tmp_path):
    """A folder of three videos, of which one is broken, and a list of them."""
    make_video("videos/a/one.avi", numbered_frames(4))
    make_video("videos/b/twö and, more 7.avi", numbered_frames(5))
    (tmp_path / "videos" / "a" / "zzz.mp4").write_text("no video\n" * 50)
    (tmp_path / "list.csv").write_text(
        '﻿path,label\n# a remark\nvideos/a/zzz.mp4,0\n\n"videos/b/twö and, more 7.avi",1\nvideos/a/one.avi,0\n',
        encoding="utf-8",
    )
    return tmp_path


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def examined(monkeypatch):
    """Paths in the order of examination; nothing is decoded."""
    paths = []
    monkeypatch.setattr(examining, "examine", lambda path, is_stopped, window: paths.append(path) or GOOD)
    return paths


def test_a_table_and_a_list_at_an_address(videos, tmp_path, monkeypatch):
    """What is whole of them is listed as csv."""
    names = ["videos/a/zzz.mp4", "videos/a/one.avi"]
    parquet.write_table(pyarrow.table({"path": names, "label": ["x", "a, b"]}), videos / "table.parquet")
    assert main([str(videos / "table.parquet")]) == 3
    assert (videos / "table_clean.csv").read_text() == f'path,label\n{videos}/videos/a/one.avi,"a, b"\n'
    files = fsspec.filesystem("memory")
    try:
        files.put(str(videos / "videos"), "/bucket/videos", recursive=True)
        files.pipe_file("/bucket/list.csv", "".join(f"{name} 1\n" for name in names).encode())
        monkeypatch.setattr("mae.data.remote.copies._copies", Copies(tmp_path / "copies"))
        assert main(["memory://bucket/list.csv", f"output={tmp_path}"]) == 3
    finally:
        files.rm("/", recursive=True)
    report = [(row["path"], row["status"]) for row in rows(tmp_path / "list_scan.csv")]
    assert report == [(f"memory://bucket/{name}", status) for name, status in zip(names, ("broken", "ok"), strict=True)]
    assert "memory://bucket/videos/a/one.avi,1\n" in (tmp_path / "list_clean.csv").read_text()


def test_a_list(videos, capsys):
    assert main([str(videos / "list.csv")]) == 3
    report = {os.path.basename(row["path"]): row for row in rows(videos / "list_scan.csv")}
    assert list(report) == ["zzz.mp4", "twö and, more 7.avi", "one.avi"]
    assert {name: row["status"] for name, row in report.items()} == {
        "zzz.mp4": "broken",
        "twö and, more 7.avi": "ok",
        "one.avi": "ok",
    }
    one = report["one.avi"]
    assert (one["codec"], one["width"], one["height"], one["frames"], one["claimed_frames"], one["fps"]) == (
        *("ffv1", "48", "32", "4", "4", "10.0"),
    )
    (broken,) = rows(videos / "list_quarantine.csv")
    assert broken["path"] == str(videos / "videos/a/zzz.mp4")
    assert "PyAV can open" in broken["reason"]
    clean = index_csv(videos / "list_clean.csv", None)
    assert [os.path.basename(path) for path in clean.paths] == ["twö and, more 7.avi", "one.avi"]
    assert clean.labels == (1, 0)
    assert "# a remark" in (videos / "list_clean.csv").read_text()
    said = capsys.readouterr().out
    assert "3: 2 ok, 1 broken" in said
    assert "ffv1 (2)" in said
    assert f"{broken['path']}: not a video" in said


def test_a_list_without_a_broken_video_stays_as_it_is(videos):
    (videos / "videos/a/zzz.mp4").write_bytes((videos / "videos/a/one.avi").read_bytes())
    assert main([str(videos / "list.csv")]) == 0
    assert (videos / "list_clean.csv").read_text() == (videos / "list.csv").read_text(encoding="utf-8-sig")
    assert rows(videos / "list_quarantine.csv") == []


@pytest.mark.parametrize("form", ["{}", "{} 3", "{} 3 0.1 0.25"])
def test_a_clean_list_elsewhere_names_the_same_files(videos, form):
    names = ["videos/a/zzz.mp4", "videos/a/one.avi"]
    (videos / "list.txt").write_text("".join(f"{form.format(name)}\n" for name in names))
    (videos / "out").mkdir()
    assert main([str(videos / "list.txt"), f"output={videos / 'out'}"]) == 3
    listed, clean = index_csv(videos / "list.txt", None), index_csv(videos / "out/list_clean.txt", None)
    assert clean.paths == (str(videos / "videos/a/one.avi"),)
    assert clean.labels == (listed.labels and listed.labels[1:])
    assert clean.segments == (listed.segments and listed.segments[1:])


def test_a_clean_list_elsewhere_keeps_strides(videos):
    (videos / "list.csv").write_text("path,stride\nvideos/a/zzz.mp4,2\nvideos/a/one.avi,4\n")
    (videos / "out").mkdir()
    assert main([str(videos / "list.csv"), f"output={videos / 'out'}"]) == 3
    clean = index_csv(videos / "out/list_clean.csv", None)
    assert (clean.paths, clean.strides) == ((str(videos / "videos/a/one.avi"),), (4,))


def test_lines_that_mean_the_same_elsewhere_stay_as_they_are(videos):
    (videos / "out").mkdir()
    (videos / "list.txt").write_text("# a remark\na/one.avi 3\na/zzz.mp4 3\n")
    main([str(videos / "list.txt"), f"root={videos / 'videos'}", f"output={videos / 'out'}"])
    assert (videos / "out/list_clean.txt").read_text() == "# a remark\na/one.avi 3\n"
    (videos / "list.txt").write_text(f"# a remark\n{videos}/videos/a/one.avi 3\n{videos}/videos/a/zzz.mp4 3\n")
    main([str(videos / "list.txt"), f"output={videos / 'out'}"])
    assert (videos / "out/list_clean.txt").read_text() == f"# a remark\n{videos}/videos/a/one.avi 3\n"


def test_fields_with_line_breaks_go_as_a_whole(videos):
    text = 'caption,path\n"of\none",videos/a/one.avi\n"a\n\nbroken, one",videos/a/zzz.mp4\nlast,videos/a/one.avi\n'
    (videos / "list.csv").write_text(text)
    assert main([str(videos / "list.csv")]) == 3
    expected = 'caption,path\n"of\none",videos/a/one.avi\nlast,videos/a/one.avi\n'
    assert (videos / "list_clean.csv").read_text() == expected


def test_a_folder_says_what_it_leaves_out_and_which_numbers_are_missing(tmp_path, capsys):
    for number in (1, 2, 5):
        for kind in ("img", "mask"):
            path = tmp_path / "in" / "clip" / f"{kind}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((8, 8), number, np.uint8))
    (tmp_path / "in" / "notes.txt").write_text("x")
    write_song(tmp_path / "in" / "song.mp4")
    arguments = [str(tmp_path / "in"), f"output={tmp_path}"]
    with pytest.raises(ConfigError, match=r"several series of pictures.* frames=img_\*.png says so for all"):
        main(arguments)
    assert main([*arguments, "frames=mask_*"]) == 3
    said = capsys.readouterr().out
    assert "song.mp4: a song with the picture of a cover, not a video" in said
    assert "gaps in frames     2 numbers missing in 1 folders" in said
    assert "left out           4 files: 3 .png (as clip/img_1.png), 1 .txt (as notes.txt)" in said
    by_name = {os.path.relpath(row["path"], tmp_path / "in"): row for row in rows(tmp_path / "in_scan.csv")}
    assert (by_name["clip/mask_*"]["frames"], by_name["clip/mask_*"]["missing_numbers"]) == ("3", "2")


ASCII_ONLY = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # the locale, and Python follows it


@pytest.mark.parametrize("named", ["list", "folder"])
def test_names_beyond_ascii_where_the_locale_knows_no_more(tmp_path, named):
    write_video(tmp_path / "in" / "été" / "vidéo.avi", numbered_frames(3))
    (tmp_path / "list.csv").write_text("in/été/vidéo.avi,1\n", encoding="utf-8")
    source = {"list": tmp_path / "list.csv", "folder": tmp_path / "in"}[named]
    command = [sys.executable, "-m", "mae.data.scan", str(source), f"output={tmp_path}"]
    environment = {**os.environ, **ASCII_ONLY, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")
    (row,) = rows(tmp_path / f"{source.stem}_scan.csv")
    assert (row["path"], row["frames"]) == (str(tmp_path / "in" / "été" / "vidéo.avi"), "3")
    if named == "list":
        assert index_csv(tmp_path / "list_clean.csv", None).paths == (row["path"],)


def test_hours_of_video():
    reports = {"/a": replace(GOOD, frames=90_000), "/b": replace(GOOD, frames=45_000), "/c": replace(GOOD, rate=None)}
    assert dict(scan_rows(reports))["hours"] == "1.5, without 1 of unknown rate"
    assert dict(scan_rows({"/a": reports["/a"]}))["hours"] == "1"


def test_what_a_person_should_know_is_counted(tmp_path):
    reports = {
        "/a": replace(GOOD, interlaced=10, color="bt709 limited 8 bit", has_variable_rate=False),
        "/b": replace(GOOD, damaged=2, lost=1, black=3, repeated=4, has_variable_rate=True, orientation="90°"),
        "/c": replace(GOOD, lost=3, constant=1, black=1, color="bt2020 limited 10 bit PQ"),
    }
    said = dict(scan_rows(reports))
    assert said["interlaced"].startswith("1;")
    assert said["variable rate"] == "1"
    assert said["damaged"] == "2, 2 frames made up in part, 4 packets lost"
    assert said["suspicious"] == (
        "4 frames black in 2 videos, 1 frames constant in 1 videos, 4 frames repeated in 1 videos"
    )
    assert said["colour"] == "bt709 limited 8 bit (1), unknown (1), bt2020 limited 10 bit PQ (1)"
    assert said["orientation"] == "unknown (2), 90° (1)"
    index = VideoIndex(tuple(reports), None, None, "")
    table, *_ = write_scan(tmp_path, "x", None, index, reports)
    one, two, three = rows(table)
    assert (one["interlaced"], one["color"], one["variable_rate"]) == ("10", "bt709 limited 8 bit", "no")
    assert (two["damaged"], two["lost_packets"], two["black"], two["repeated"]) == ("2", "1", "3", "4")
    assert (two["variable_rate"], two["orientation"]) == ("yes", "90°")
    assert (three["constant"], three["variable_rate"], three["seeks_exactly"]) == ("1", "", "no")


def test_a_folder(videos, monkeypatch):
    (videos / "out").mkdir()
    monkeypatch.chdir(videos / "out")
    assert main([str(videos / "videos")]) == 3
    clean = index_csv("videos_clean.csv", None)
    assert clean.paths == (str(videos / "videos/a/one.avi"), str(videos / "videos/b/twö and, more 7.avi"))
    assert clean.labels == (0, 1)
    assert len(rows("videos_scan.csv")) == 3


def test_one_video(videos):
    (videos / "out").mkdir()
    assert main([str(videos / "videos/a/one.avi"), f"output={videos / 'out'}"]) == 0
    assert sorted(os.listdir(videos / "out")) == ["one_quarantine.csv", "one_scan.csv"]


def test_a_second_scan_decodes_only_what_is_new_changed_or_broken(videos, monkeypatch):
    decoded = []
    examine = examining.examine
    monkeypatch.setattr(
        examining, "examine", lambda path, *a: decoded.append(os.path.basename(path)) or examine(path, *a)
    )
    given = [str(videos / "list.csv"), "workers=1"]
    main(given)
    assert decoded == ["zzz.mp4", "twö and, more 7.avi", "one.avi"]
    first = rows(videos / "list_scan.csv")
    del decoded[:]
    main(given)
    assert decoded == ["zzz.mp4"]
    assert rows(videos / "list_scan.csv") == first
    os.utime(videos / "videos/a/one.avi", ns=(1, 1))
    del decoded[:]
    main(given)
    assert decoded == ["zzz.mp4", "one.avi"]
    del decoded[:]
    main([*given, "again=true"])
    assert len(decoded) == 3


def test_an_interrupted_scan_goes_on_where_it_stopped(videos, monkeypatch, interrupts):
    begun, stopped, kept = [], [], threading.Event()
    put = ScanCache.put
    monkeypatch.setattr(ScanCache, "put", lambda *arguments: (put(*arguments), kept.set()))

    def examine(path, is_stopped, window):
        begun.append(os.path.basename(path))
        if len(begun) == 2:
            assert kept.wait(PATIENCE)
            os.kill(os.getpid(), signal.SIGINT)
            deadline = time.monotonic() + PATIENCE
            while not is_stopped() and time.monotonic() < deadline:
                time.sleep(0.01)
            stopped.append(is_stopped())
            raise module.ConfigError("stopped")
        return GOOD

    monkeypatch.setattr(examining, "examine", examine)
    with pytest.raises(KeyboardInterrupt):
        main([str(videos / "list.csv"), "workers=1"])
    assert stopped == [True]
    assert begun == ["zzz.mp4", "twö and, more 7.avi"]
    assert not (videos / "list_scan.csv").exists()
    main([str(videos / "list.csv"), "workers=1"])
    assert begun[2:] == ["twö and, more 7.avi", "one.avi"]


def test_a_decoder_that_hangs_is_given_up(videos, monkeypatch):
    over = threading.Event()

    def examine(path, is_stopped, window):
        if path.endswith("zzz.mp4"):
            over.wait(PATIENCE)
        return GOOD

    def patient_with_others(seconds, call):
        return within(seconds if call.args[0].endswith("zzz.mp4") else PATIENCE, call)

    monkeypatch.setattr(examining, "examine", examine)
    monkeypatch.setattr(examining, "within", patient_with_others)
    assert main([str(videos / "list.csv"), "timeout_s=0.2"]) == 3
    over.set()
    (broken,) = rows(videos / "list_quarantine.csv")
    assert broken["reason"] == "not decoded within 0.2 s"


def test_missing_and_repeated_videos(tmp_path, make_video, examined):
    make_video("a.avi", numbered_frames(2))
    (tmp_path / "list.txt").write_text("a.avi\nabsent.avi\na.avi\nabsent.avi\n")
    assert main([str(tmp_path / "list.txt")]) == 3
    assert examined == [str(tmp_path / "a.avi")]
    assert [row["reason"] for row in rows(tmp_path / "list_quarantine.csv")] == ["missing"]
    assert (tmp_path / "list_clean.txt").read_text() == "a.avi\na.avi\n"


def test_many_videos(tmp_path, examined, capsys, monkeypatch):
    monkeypatch.setattr(module, "SAY_EVERY_S", (0, 0))
    (tmp_path / "videos").mkdir()
    for number in range(2000):
        (tmp_path / "videos" / f"{number}.mp4").write_bytes(b"x")
    assert main([str(tmp_path / "videos"), f"output={tmp_path}", "workers=3"]) == 0
    assert len(set(examined)) == len(examined) == 2000
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("2000/2000 videos  0 broken")
    assert "videos/s  ETA 0s" in last
    main([str(tmp_path / "videos"), f"output={tmp_path}"])
    assert len(examined) == 2000


def test_a_cache_that_cannot_be_written_is_a_mistake_in_the_command(videos, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(videos / "list.csv"))
    with pytest.raises(ConfigError, match="XDG_CACHE_HOME= names another"):
        main([str(videos / "list.csv")])


def test_a_locked_cache_is_a_mistake_in_the_command(videos, examined, monkeypatch):
    main([str(videos / "list.csv")])
    monkeypatch.setattr("mae.data.videos.scan_cache.WAIT_S", 0.1)
    other = sqlite3.connect(cache_path(), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ConfigError, match="locked"):
        main([str(videos / "list.csv"), "again=true"])
    other.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "videos= is missing"),
        (["absent.csv"], "videos=absent.csv does not exist"),
        (["absent.mp4"], "videos=absent.mp4 does not exist"),
        (["absent"], "videos=absent does not exist"),
        (["list.csv", "workers=-1"], "workers=-1 must be 0"),
        (["list.csv", "timeout_s=0"], r"timeout_s=0\.0 must be more than 0"),
        (["list.csv", "output=absent"], "output=absent is not a folder"),
        (["videos", "root=/"], "root=/ is for lists; videos=videos is a folder"),
        (["list.csv", "wokers=1"], "did you mean 'workers'"),
        (["list.csv", "fast"], "'fast' is not of the form key=value"),
        (["wokers=1"], "did you mean 'workers'"),
    ],
)
def test_mistakes(videos, monkeypatch, arguments, message):
    monkeypatch.chdir(videos)
    with pytest.raises(ConfigError, match=message):
        main(arguments)


def test_how_the_videos_may_be_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.csv").touch()
    assert parse(["x.csv", "workers=2"]) == ScanConfig("x.csv", workers=2)
    assert parse(["workers=2", "videos=x.csv"]) == ScanConfig("x.csv", workers=2)
    assert parse(["a=b.csv"]) == ScanConfig("a=b.csv")


def test_the_command(videos):
    def run(*arguments):
        command = [sys.executable, "-m", "mae.data.scan", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    helped = run("--help")
    assert helped.returncode == 0
    assert helped.stdout.startswith("`python -m mae.data.scan list.csv")
    scanned = run(str(videos / "list.csv"))
    assert scanned.returncode == 3
    assert scanned.stderr == "", "what is wrong with a file is in the table"


def test_parts_of_a_scan_become_the_whole(videos, monkeypatch):
    given = [str(videos / "list.csv"), f"output={videos}"]
    main(given)
    whole = {path.name: path.read_bytes() for path in videos.glob("list_*.csv")}
    for name in whole:
        (videos / name).unlink()
    for number in (2, 1):
        monkeypatch.setenv("XDG_CACHE_HOME", str(videos / f"machine {number}"))
        main([*given, f"shard={number}/2"])
        assert not (videos / "list_scan.csv").exists()
    monkeypatch.setenv("XDG_CACHE_HOME", str(videos / "third machine"))
    monkeypatch.setattr(examining, "examine", None)  # nothing is decoded again
    main(given)
    assert {path.name: path.read_bytes() for path in videos.glob("list_*.csv")} == whole
    assert not list(videos.glob("*.parts"))


def test_pages_and_statistics_are_of_the_whole():
    for setting in ("report=a.html", "against=[b.csv]", "statistics=true"):
        with pytest.raises(ConfigError, match=r"shard=1/2 scans a part; report=, statistics= and against="):
            parse(["list.csv", "shard=1/2", setting])


def threads_of(count):
    return Workers(Threads(count), AHEAD * count, True)


def test_side_by_side_runs_at_once_and_tells_when_nothing_is_ready():
    both = threading.Barrier(2, timeout=PATIENCE)
    pairs = side_by_side(lambda item: (both.wait(), item * 2)[1], [1, 2], threads_of(2), wait_s=PATIENCE)
    assert sorted(pair for pair in pairs if pair) == [(1, 2), (2, 4)]
    go = threading.Event()
    slow = side_by_side(lambda item: go.wait(PATIENCE), ["a"], threads_of(1), wait_s=0.01)
    assert next(slow) is None
    go.set()
    assert [pair for pair in slow if pair] == [("a", True)]


def test_side_by_side_raises_and_begins_nothing_more():
    begun = []

    def fail(item):
        begun.append(item)
        raise KeyError(item)

    pairs = side_by_side(fail, list(range(100)), threads_of(1), wait_s=PATIENCE)
    with pytest.raises(KeyError):
        next(pairs)
    time.sleep(0.05)
    assert 1 <= len(begun) <= 2, "one more waits for each that runs"
    assert list(side_by_side(fail, [], threads_of(1), wait_s=PATIENCE)) == []


def test_numbers_of_a_list_are_numbers(tmp_path):
    assert parse([str(tmp_path), "window=[-1000,400]"]).window == [-1000.0, 400.0]
    assert message_of(parse, [str(tmp_path), "window=[low,400]"]).startswith("window: ")
