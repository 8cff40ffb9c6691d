import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref

import numpy as np
import pytest
from numbered_frames import frame_numbers, numbered_frames
from patience import PATIENCE

from mae.data.videos import kinds
from mae.data.videos.read import read_frames
from mae.data.videos.time_limit import within
from mae.errors import BadVideo


def test_results_and_exceptions_come_back():
    assert within(PATIENCE, lambda: 7) == 7
    assert within(PATIENCE, lambda: None) is None

    def fail_deep_inside():
        raise KeyError("x")

    with pytest.raises(KeyError, match="x") as caught:
        within(PATIENCE, fail_deep_inside)
    assert "fail_deep_inside" in "".join(traceback.format_tb(caught.value.__traceback__))


def test_threads_are_used_again():
    within(PATIENCE, threading.get_ident)
    before = threading.active_count()
    for _ in range(5):
        within(PATIENCE, threading.get_ident)
    assert threading.active_count() == before
    assert within(PATIENCE, lambda: threading.current_thread().daemon)


def check_that_it_is_left_alone(thread):
    """It answers no later call, and has ended once its own has."""
    thread.join(PATIENCE)
    assert not thread.is_alive()
    for number in range(threading.active_count()):  # whichever threads are idle
        assert within(PATIENCE, lambda number=number: number) == number


def test_a_call_that_hangs_takes_only_its_own_thread():
    released, hanging = threading.Event(), []

    def hang():
        hanging.append(threading.current_thread())
        released.wait()
        return "late"

    with pytest.raises(TimeoutError, match=r"within 0.05 s"):
        within(0.05, hang)
    for _ in range(threading.active_count()):
        assert within(PATIENCE, threading.current_thread) is not hanging[0]
    released.set()
    check_that_it_is_left_alone(hanging[0])


def test_an_interrupted_call_answers_no_later_one():
    released, interrupted = threading.Event(), []

    def interrupt():
        interrupted.append(threading.current_thread())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        released.wait()
        return "late"

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            within(PATIENCE, interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    released.set()
    check_that_it_is_left_alone(interrupted[0])


class Held:
    """Something a weak reference can point to."""


def test_nothing_is_held_once_a_call_has_returned():
    held = []

    def make():
        made = Held()
        held.append(weakref.ref(made))
        return made

    def fail():
        made = make()
        raise KeyError(made)

    gc.disable()
    try:
        result = within(PATIENCE, make)
        del result
        with contextlib.suppress(KeyError):
            within(PATIENCE, fail)
        deadline = time.monotonic() + PATIENCE
        while any(reference() is not None for reference in held) and time.monotonic() < deadline:
            time.sleep(0.001)  # the idle thread lets go just after it has handed over
        assert [reference() for reference in held] == [None, None]
    finally:
        gc.enable()


def test_many_callers_at_once():
    results = []

    def call(number):
        for _ in range(20):
            results.append(within(PATIENCE, lambda: (time.sleep(0.0005), number)[1]) == number)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 160


class HangingVideo:
    """A decoder that never returns its second frame."""

    claimed_count, frames_per_second = 5, 10.0

    def __init__(self, forever):
        self._forever = forever

    def frames(self, wanted):
        yield np.zeros((4, 4, 3), np.uint8)
        self._forever.wait()

    def close(self):
        pass


def test_a_decoder_that_hangs(make_video, monkeypatch):
    path = make_video("a.avi", numbered_frames(9))
    forever = threading.Event()

    def read_it():
        frames = read_frames(path, lambda count: np.array([0, 4]), lambda place, frame: [frame], timeout_s=0.1)
        return frame_numbers(np.stack([view for (view,) in frames.views]))

    with monkeypatch.context() as patch:
        patch.setattr(kinds, "PyAVVideo", lambda *_: HangingVideo(forever))
        for _ in range(2):
            with pytest.raises(BadVideo, match=r"^not decoded within 0.1 s$"):
                read_it()
    assert read_frames(path, lambda count: np.array([0]), lambda *_: [], timeout_s=PATIENCE).numbers.tolist() == [0]
    forever.set()


def test_timeout_errors_of_the_decoder_itself_are_its_own(make_video, monkeypatch):
    """Python's TimeoutError also comes from a network drive that does not answer."""

    def refuse(path):
        raise TimeoutError(110, "Connection timed out")

    path = make_video("a.avi", numbered_frames(9))
    monkeypatch.setattr(kinds, "first_bytes", refuse)
    with pytest.raises(BadVideo, match="Connection timed out"):
        read_frames(path, lambda count: np.array([0]), lambda *_: [], timeout_s=PATIENCE)


HANGS = """
import threading
from mae.data.videos.time_limit import within
try:
    within(0.05, threading.Event().wait)
except TimeoutError:
    print("given up", flush=True)
"""


def test_the_process_ends_although_a_call_hangs():
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (0, "given up\n"), done.stderr


FORKS = """
import os, signal
from mae.data.videos.time_limit import within
assert within(3600, lambda: 1) == 1
child = os.fork()
if child == 0:
    signal.alarm(3600)
    os._exit(within(3600, lambda: 7))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_uses_threads_of_its_own():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
