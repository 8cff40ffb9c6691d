import csv
import threading

import pytest

from mae.data.bad_videos import BadVideos
from mae.errors import TrainingStopped


def rows(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.reader(file))


def test_one_line_a_video_and_a_file_only_when_there_is_one(tmp_path):
    path = tmp_path / "run" / "bad_videos.csv"
    bad = BadVideos(path, listed=10, max_fraction=0.5)
    bad.raise_if_too_many()
    assert not path.exists()
    bad.record("/v/a.mp4", "missing")
    assert path.read_text() == "path,reason\n/v/a.mp4,missing\n", "not flushed"
    bad.record("/v/a.mp4", "another reason")
    bad.record('/v/b, "c".mp4', "empty file")
    assert bad.count == 2
    assert rows(path) == [["path", "reason"], ["/v/a.mp4", "missing"], ['/v/b, "c".mp4', "empty file"]]


def test_it_goes_on_after_a_resume(tmp_path):
    path = tmp_path / "bad_videos.csv"
    strange = "/v/\udcff.mp4"  # a file name that is not UTF-8
    BadVideos(path, 10, 0.5).record(strange, "missing")
    bad = BadVideos(path, 10, 0.5)
    assert bad.count == 1
    bad.record(strange, "missing")
    bad.record("/v/b.mp4", "missing")
    assert rows(path) == [["path", "reason"], [strange, "missing"], ["/v/b.mp4", "missing"]]


def test_a_line_cut_by_a_crash(tmp_path):
    path = tmp_path / "bad_videos.csv"
    path.write_text("path,reason\n/v/a.mp4,missing\n/v/b.m")
    bad = BadVideos(path, 10, 0.5)
    assert bad.count == 1
    bad.record("/v/b.mp4", "missing")
    assert BadVideos(path, 10, 0.5).count == 2


def test_in_memory(tmp_path):
    bad = BadVideos(None, 1, 1.0)
    bad.record("a", "missing")
    assert bad.count == 1
    bad.raise_if_too_many()


def test_too_many(tmp_path):
    bad = BadVideos(tmp_path / "bad_videos.csv", listed=100, max_fraction=0.02)
    for i in range(2):
        bad.record(f"/v/{i}.mp4", "empty file")
    bad.raise_if_too_many()
    bad.record("/v/2.mp4", "missing")
    with pytest.raises(TrainingStopped) as stopped:
        bad.raise_if_too_many()
    message = str(stopped.value)
    assert message.startswith("3 of 100 videos cannot be read, more than data.max_bad_frac=0.02 allows")
    assert "the first: /v/0.mp4 (empty file)" in message
    assert str(tmp_path / "bad_videos.csv") in message
    assert "\n" not in message


def test_none_allowed():
    bad = BadVideos(None, listed=100, max_fraction=0.0)
    bad.raise_if_too_many()
    bad.record("a", "missing")
    with pytest.raises(TrainingStopped, match="1 of 100"):
        bad.raise_if_too_many()


def test_threads(tmp_path):
    bad = BadVideos(tmp_path / "bad_videos.csv", 100, 1.0)
    threads = [
        threading.Thread(target=lambda: [bad.record(f"/v/{i}.mp4", "missing") for i in range(20)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bad.count == 20
    assert len(rows(tmp_path / "bad_videos.csv")) == 21
