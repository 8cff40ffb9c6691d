import os
import pty
import re
import subprocess
import sys

import pytest

from mae.monitoring.progress import ProgressLine

RECORDS = [
    {"step": 10, "loss": 0.9, "clips_per_second": 50.0, "data_wait_fraction": 0.0},
    {"step": 20, "loss": 0.8, "clips_per_second": 50.0, "data_wait_fraction": 0.0, "psnr": 20.0},
    {"step": 30, "loss": 0.7, "clips_per_second": 50.0, "data_wait_fraction": 0.0},
]


def test_plain_lines_where_the_output_is_no_terminal(capsys):
    with ProgressLine(30) as line:
        for record in RECORDS:
            line.note_step(record["step"] - 1)
            line.show(record)
    assert capsys.readouterr().out.splitlines() == [
        "step 10/30  loss 0.9000  50 clips/s  data wait 0 %",
        "step 20/30  loss 0.8000  psnr 20.0 dB  50 clips/s  data wait 0 %",
        "step 30/30  loss 0.7000  50 clips/s  data wait 0 %",
    ]


SCRIPT = f"""
import time
from mae.monitoring import progress
from mae.monitoring.progress import ProgressLine
progress._REFRESH_S = 0
with ProgressLine(30) as line:
    for record in {RECORDS!r}:
        line.note_step(record["step"] - 1)
        line.show(record)
        print("something else", record["step"])
print("the end")
"""


def on_a_terminal(terminal):
    """What the script writes to a terminal of that name."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": terminal, "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    written = b""
    while True:
        try:
            written += (chunk := os.read(master, 65536))
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
    assert process.wait() == 0, written
    os.close(master)
    return written.decode()


def screen(written):
    """The lines that remain on a terminal: a line that is erased or written over is gone."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", written):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif up := re.fullmatch(r"\x1b\[(\d*)A", part):
            row -= int(up[1] or 1)
        elif part and part[0] not in "\x1b\r":
            lines[row] += part
    return [line for line in lines if line]


def test_on_a_terminal_one_line_is_rewritten_and_what_was_looked_at_stays():
    written = on_a_terminal("xterm")
    assert "step 29/30  loss 0.8000" in written  # between records: the step, beside the figures of the last one
    assert screen(written) == [
        "something else 10",
        "step 20/30  loss 0.8000  psnr 20.0 dB  50 clips/s  data wait 0 %",
        "something else 20",
        "something else 30",
        "the end",
    ]


def test_a_terminal_that_can_rewrite_nothing_gets_plain_lines():
    written = on_a_terminal("dumb")
    assert "\x1b" not in written
    assert len(re.findall("^step ", written, re.MULTILINE)) == 3


@pytest.mark.parametrize("live", [True, False])
def test_nothing_is_left_open_by_an_error(live, capsys):
    line = ProgressLine(3, is_live=live)
    with pytest.raises(ZeroDivisionError), line:
        line.show({"step": 1, "loss": 1 / 0})
    assert line._live is None
    if live:
        assert "\x1b[?25h" in capsys.readouterr().out  # the cursor is back
