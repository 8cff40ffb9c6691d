"""A view in a thread: whatever it does, the run neither waits nor fails."""

import threading
import time

import pytest
from patience import PATIENCE

from mae.monitoring import background
from mae.monitoring.background import Background


class Recording:
    """A view that notes what is done with it; `fails` names the method that raises."""

    def __init__(self, fails="", hangs=""):
        self.fails, self.hangs = fails, hangs
        self.logged, self.exit_codes, self.release = [], [], threading.Event()
        if fails == "start":
            raise RuntimeError("no route to host")

    def _maybe(self, name):
        if self.hangs == name:
            self.release.wait(PATIENCE)
        if self.fails == name:
            raise BrokenPipeError("the service\nis gone")

    def describe(self):
        return "to be seen somewhere"

    def log(self, record):
        self._maybe("log")
        self.logged.append(record)

    def log_picture(self, step, key, path):
        self.logged.append((step, key, path))

    def finish(self, exit_code):
        self._maybe("finish")
        self.exit_codes.append(exit_code)


@pytest.fixture
def opened():
    said, warned = [], []

    def open_view(view=None, **how):
        made = [view]

        def start():
            made[0] = made[0] or Recording(**how)
            return made[0]

        thread = Background("W&B", start, said.append, warned.append)
        return thread, made

    return open_view, said, warned


def test_all_is_done_in_order_and_off_the_calling_thread(opened):
    open_view, said, warned = opened
    thread, made = open_view()
    names = []
    for step in range(100):
        thread.send(lambda view, step=step: (view.log(step), names.append(threading.current_thread().name)))
    thread.finish(0)
    assert made[0].logged == list(range(100))
    assert made[0].exit_codes == [0]
    assert set(names) == {"W&B view"}
    assert (said, warned) == (["to be seen somewhere"], [])


@pytest.mark.parametrize(
    ("fails", "warning"),
    [
        (
            "start",
            "warning: W&B did not start (RuntimeError: no route to host); training goes on with local files only",
        ),
        ("log", "warning: W&B stopped (BrokenPipeError: the service is gone); training goes on with local files only"),
        ("finish", "warning: W&B did not finish (BrokenPipeError: the service is gone); training goes on with local "),
    ],
)
def test_what_fails_is_told_once(opened, fails, warning):
    open_view, _, warned = opened
    thread, _ = open_view(fails=fails)
    for step in range(3):
        thread.send(lambda view, step=step: view.log(step))
    thread.finish(0)
    assert len(warned) == 1
    assert warned[0].startswith(warning)


def test_a_view_that_hangs_costs_the_run_nothing_until_its_end(opened):
    open_view, _, warned = opened
    view = Recording(hangs="log")
    thread, _ = open_view(view)
    started = time.perf_counter()
    for step in range(1000):
        thread.send(lambda view, step=step: view.log(step))
    assert time.perf_counter() - started < 1
    thread.finish(0, timeout_s=0.05)
    view.release.set()
    assert len(warned) == 1
    assert "W&B did not finish (TimeoutError: not finished after 0.05 s)" in warned[0]


def test_what_waits_for_a_view_that_hangs_does_not_fill_the_memory(opened, monkeypatch):
    monkeypatch.setattr(background, "QUEUED", 5)
    open_view, _, warned = opened
    view = Recording(hangs="log")
    thread, _ = open_view(view)
    for step in range(100):
        thread.send(lambda view, step=step: view.log(step))
    assert len(warned) == 1
    assert "W&B stopped (TimeoutError: 5 records wait for it)" in warned[0]
    thread.finish(0, timeout_s=0)
    view.release.set()
    assert len(warned) == 1
