import math

import pytest

from mae.monitoring.console import format_duration, format_progress, format_table

RECORD = {
    "step": 120,
    "epoch": 3,
    "loss": 0.73124,
    "learning_rate": 0.0012,
    "weight_decay": 0.05,
    "grad_norm": 0.42,
    "clips_per_second": 85.4,
    "step_ms": 376.0,
    "data_wait_fraction": 0.031,
    "decode_ms": 12.0,
    "bad_clips": 0,
    "eta_s": 72.0,
}


def test_progress_line():
    expected = "step 120/400  loss 0.7312  lr 1.2e-03  grad 0.42  85 clips/s  data wait 3 %  ETA 1m 12s"
    assert format_progress(RECORD, 400) == expected


def test_progress_line_with_evaluation_and_bad_clips():
    record = {"step": 5, "loss": 0.5, "psnr": 21.345, "probe_top1": 0.3125, "bad_clips": 2}
    expected = "step     5/80000  loss 0.5000  psnr 21.3 dB  probe top-1 31.2 %  bad clips 2"
    assert format_progress(record, 80000) == expected


def test_progress_line_shows_what_is_there():
    assert format_progress({"step": 1, "loss": None, "epoch": 0}, 9) == "step 1/9"


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("loss", math.nan, "loss nan"),
        ("grad_norm", 0.0, "grad 0.0e+00"),
        ("grad_norm", 0.0042, "grad 4.2e-03"),
        ("grad_norm", 123456.0, "grad 1.2e+05"),
        ("grad_norm", math.inf, "grad inf"),
        ("clips_per_second", 3.21, "3.2 clips/s"),
        ("learning_rate", 0.0, "lr 0.0e+00"),
        ("eta_s", math.nan, "ETA ?"),
    ],
)
def test_unusual_values(field, value, text):
    assert format_progress({"step": 1, field: value}, 1) == f"step 1/1  {text}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.4, "0s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (72, "1m 12s"),
        (3599.9, "1h 00m"),
        (7512, "2h 05m"),
        (86400 * 3 + 3600 * 4 + 59, "3d 04h"),
        (math.inf, "?"),
        (math.nan, "?"),
        (-1, "?"),
    ],
)
def test_duration(seconds, text):
    assert format_duration(seconds) == text


def test_table():
    rows = [("token grid", "8 x 14 x 14"), ("visible", "160 of 1568"), ("", ""), ("note", "two\nlines")]
    assert format_table(rows, "pretrain") == (
        "pretrain\n  token grid  8 x 14 x 14\n  visible     160 of 1568\n\n  note        two\n              lines"
    )


def test_a_table_in_a_notebook_is_text_alone(monkeypatch, capsys):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert format_table([("note", "x" * 200)], "run") == f"run\n  note  {'x' * 200}"
    assert capsys.readouterr().out == ""


def test_empty_table():
    assert format_table([], "nothing") == "nothing"
