import re
from pathlib import Path

import pytest

from mae.monitoring import data_wait
from mae.monitoring.data_wait import DataWait

WAITING = {"clips_per_second": 20.0, "data_wait_fraction": 0.5, "decoders_busy": 0.99}
BENCHMARKS = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()


def watching(decoders=2, clips_per_video=1, is_packed=False, cores=2):
    return DataWait(decoders, clips_per_video, is_packed, cores)


def test_it_is_told_once_after_three_records_in_a_row():
    watch = watching()
    fast = {**WAITING, "data_wait_fraction": 0.2}
    compiling = {**WAITING, "clips_per_second": None}
    quiet = [compiling, WAITING, WAITING, fast, WAITING, compiling, WAITING]
    assert [watch.note(record) for record in quiet] == [None] * len(quiet)
    warning = watch.note(WAITING)
    assert warning.startswith(
        "WARNING: 50 % of the time is spent waiting for clips; without, it would be 40 clips/s instead of 20."
    )
    assert [watch.note(WAITING) for _ in range(5)] == [None] * 5


def warned(watch, **others):
    return [watch.note({**WAITING, **others}) for _ in range(3)][-1]


def test_remedies_are_those_that_are_left():
    plain = warned(watching())
    assert "python -m mae.data.pack LIST FOLDER: a copy that reads 10 × as fast (8.5 instead of 86.5 ms" in plain
    assert "data.clips_per_video=4: four clips of each decoding pass, 2.7 × as fast (32.1 ms a clip)" in plain
    assert "more cores than these 2: twice as many read 1.88 × as fast" in plain
    assert "data.workers=8 instead of 2: twice the cores read 1.88 × as fast" in warned(watching(cores=8))
    packed = warned(watching(is_packed=True))
    assert "mae.data.pack" not in packed
    assert "clips_per_video" not in packed
    repeated = warned(watching(clips_per_video=4))
    assert "3.8 × what several clips a video are" in repeated
    assert "data.clips_per_video" not in repeated


def test_where_the_decoders_are_idle_it_is_something_else():
    warning = warned(watching(), decoders_busy=0.4)
    assert "busy for 40 % of their time only" in warning
    assert "data.ram_budget_gb" in warning
    assert "mae.data.pack" not in warning


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("packed (`mae.data.pack`)", data_wait.PACKED_MS),
        ("video", data_wait.VIDEO_MS),
        ("video, four clips a visit (`data.clips_per_video=4`)", data_wait.FOUR_CLIPS_MS),
    ],
)
def test_the_figures_are_those_that_were_measured(row, value):
    assert re.search(rf"^\| {re.escape(row)} \| {value} \|", BENCHMARKS, re.MULTILINE)


def test_so_is_what_a_second_core_brings():
    assert re.search(rf"^\| video \| 12.1 \| 22.8 \| {data_wait.TWO_CORES} \|", BENCHMARKS, re.MULTILINE)
