import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from encoded_videos import write_cut_video
from numbered_frames import frame_numbers, numbered_frames
from whole_clips import read_clip

from mae.data.videos import kinds, read, scan_cache
from mae.data.videos.decoding import Decoding
from mae.data.videos.file_key import file_key
from mae.data.videos.pyav_video import KeyFrame, PyAVVideo
from mae.data.videos.scan_cache import ScanCache, cache_path, scanned
from mae.data.videos.scan_report import ScanReport

PLAIN = ScanReport(decoder="PyAV", codec="h264", width=8, height=6, rate=25.0, claimed=10, frames=10)
WRONG_CLAIM = replace(PLAIN, claimed=12)


@pytest.fixture(autouse=True)
def cache_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(key, report):
    with scan_cache.scan_cache() as cache:
        cache.put(key, report)


def test_what_was_put_is_there_for_another_scan():
    put(("/a b/ü.mp4", 5, 7), PLAIN)
    with scan_cache.scan_cache() as cache:
        assert cache.get(("/a b/ü.mp4", 5, 7)) == PLAIN
        assert cache.get(("/a b/ü.mp4", 5, 8)) is None, "modified since"
        assert cache.get(("/a b/ü.mp4", 6, 7)) is None
        cache.put(("/a b/ü.mp4", 5, 8), WRONG_CLAIM)
        cache.flush()
        assert cache.get(("/a b/ü.mp4", 5, 8)) == WRONG_CLAIM
        assert cache.get(("/a b/ü.mp4", 5, 7)) is None, "a path has one report"


def test_other_decoders_may_judge_otherwise(monkeypatch):
    put(("/a.mp4", 5, 7), WRONG_CLAIM)
    assert scanned(("/a.mp4", 5, 7)) == WRONG_CLAIM
    monkeypatch.setattr(scan_cache, "software", lambda: "others")
    with scan_cache.scan_cache() as cache:
        assert cache.get(("/a.mp4", 5, 7)) is None
    assert scanned(("/a.mp4", 5, 7)) is None


def test_the_reader_is_told_only_what_helps():
    put(("/plain.mp4", 5, 7), PLAIN)
    put(("/wrong.mp4", 5, 7), WRONG_CLAIM)
    assert scanned(("/plain.mp4", 5, 7)) is None
    assert scanned(("/wrong.mp4", 5, 7)) == WRONG_CLAIM
    assert scanned(("/wrong.mp4", 5, 8)) is None


def test_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(("a.mp4", 5, 7), WRONG_CLAIM)
    assert scanned((str(tmp_path / "a.mp4"), 5, 7)) == WRONG_CLAIM
    assert scanned(("./a.mp4", 5, 7)) == WRONG_CLAIM


def test_no_cache_is_nothing_known(capsys):
    assert scanned(("/a.mp4", 5, 7)) is None
    assert not cache_path().exists(), "asking makes none"
    assert capsys.readouterr().err == ""


def test_a_damaged_cache_is_told_once_and_begun_anew_by_the_next_scan(capsys):
    cache_path().parent.mkdir(parents=True)
    cache_path().write_bytes(b"no database" * 100)
    assert [scanned(("/a.mp4", 5, 7)), scanned(("/b.mp4", 5, 7))] == [None, None]
    assert capsys.readouterr().err.count("cannot be read") == 1
    put(("/a.mp4", 5, 7), WRONG_CLAIM)
    assert scanned(("/a.mp4", 5, 7)) == WRONG_CLAIM
    assert cache_path().with_suffix(".damaged").exists()


def test_a_damaged_row_is_nothing_known():
    put(("/a.mp4", 5, 7), WRONG_CLAIM)
    connection = sqlite3.connect(cache_path())
    with connection:
        connection.execute("UPDATE scans SET report = '{'")
    connection.close()
    assert scanned(("/a.mp4", 5, 7)) is None


def test_scans_at_once_lose_nothing():
    def work(first):
        with scan_cache.scan_cache() as cache:
            for number in range(first, first + 25):
                cache.put((f"/{number}.mp4", 1, 1), WRONG_CLAIM)
                cache.flush()

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(scanned((f"/{number}.mp4", 1, 1)) for number in range(50))


def test_no_transaction_stays_open_while_a_scan_decodes(monkeypatch):
    with scan_cache.scan_cache() as cache:
        cache.put(("/a.mp4", 1, 1), WRONG_CLAIM)
        with monkeypatch.context() as later:
            later.setattr(scan_cache, "FLUSH_S", -1)
            cache.put(("/b.mp4", 1, 1), WRONG_CLAIM)
        cache.put(("/c.mp4", 1, 1), WRONG_CLAIM)
        monkeypatch.setattr(scan_cache, "WAIT_S", 0.1)
        with scan_cache.scan_cache() as other:
            assert isinstance(other, ScanCache)
            assert other.get(("/b.mp4", 1, 1)) == WRONG_CLAIM
            assert other.get(("/c.mp4", 1, 1)) is None
            other.put(("/d.mp4", 1, 1), WRONG_CLAIM)


def test_a_scan_killed_while_it_writes_leaves_what_was_complete(capsys):
    put(("/a.mp4", 5, 7), WRONG_CLAIM)
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1'); c.execute('BEGIN IMMEDIATE')\n"
        "for i in range(2000): c.execute('INSERT INTO scans VALUES (?, 1, 1, ?, 1, ?)', (str(i), 'x', 'y' * 300))\n"
        "os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(cache_path())], check=False).returncode == 9
    journal = cache_path().with_name(cache_path().name + "-journal")
    assert journal.stat().st_size > 0
    assert scanned(("/a.mp4", 5, 7)) == WRONG_CLAIM
    assert capsys.readouterr().err == ""


def test_the_reader_seeks_where_a_scan_says_so(make_video, monkeypatch):
    path = make_video("a.avi", numbered_frames(80))  # FFV1: every frame is a key frame
    keys = tuple(KeyFrame(number, number) for number in range(0, 80, 16))
    asked = []

    class Spied(PyAVVideo):
        def __init__(self, path, key_frames, decoding):
            asked.append((key_frames, []))
            super().__init__(path, key_frames, decoding)

        def _seek(self, key):
            asked[-1][1].append(key.number)
            return super()._seek(key)

    monkeypatch.setattr(kinds, "PyAVVideo", Spied)

    def clip():
        return read_clip(path, lambda count: np.array([40, 41, 79]))

    before = clip()
    put(file_key(path), replace(PLAIN, claimed=80, frames=80, key_frames=keys))
    after = clip()
    assert frame_numbers(before) == [40, 41, 79]
    np.testing.assert_array_equal(before, after)
    assert asked == [((), []), (keys, [32, 64])]
    os.utime(path, ns=(1, 1))
    clip()
    assert asked[2] == ((), []), "another file now"


def test_what_a_scan_found_is_nothing_to_the_other_decoder(make_video):
    path = make_video("a.avi", numbered_frames(8))
    put(file_key(path), replace(PLAIN, claimed=7, frames=5))
    asked = []
    for decoder in ("opencv", "pyav"):
        read.read_frames(
            path, lambda c: asked.append(c) or np.array([c - 1]), lambda *_: [], decoding=Decoding(decoder)
        )
    assert asked == [8, 7, 5]


def test_a_scan_changes_no_choice(tmp_path):
    path = str(tmp_path / "cut.mp4")
    write_cut_video(path)
    from mae.data.scan.examine import examine

    report = examine(path)
    assert report.claimed == 40

    def early(count):
        return np.array([0, count // 8])

    def late(count):
        return np.array([0, count // 4, count - 3])

    def clips():
        return read_clip(path, early), read_clip(path, late)

    unscanned = clips()
    os.utime(path, ns=(1, 1))  # another file, of which nothing is known
    put(file_key(path), report)
    asked = []
    read_clip(path, lambda count: asked.append(count) or late(count))
    assert asked == [40, report.frames]
    for one, other in zip(unscanned, clips(), strict=True):
        np.testing.assert_array_equal(one, other)
