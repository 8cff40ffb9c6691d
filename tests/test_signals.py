import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from mae.signals import ENDING, StopRequest, handle


@pytest.fixture
def hangup():
    """What SIGHUP does is put back."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_noted_and_the_handlers_come_back(signum, hangup):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = signal.getsignal(signum)
    with StopRequest() as stop:
        assert stop.signum is None
        os.kill(os.getpid(), signum)
        assert stop.signum == signum
        assert signal.getsignal(signum) == before
    assert signal.getsignal(signum) == before


def test_a_second_interrupt_acts_as_usual(interrupts):
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.signum == signal.SIGINT


def test_a_hangup_that_nohup_ignores_stays_ignored(hangup):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.signum is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_usr1_is_no_end_where_it_saves():
    """Which of both goes to the others, and what is left once they agreed."""
    with StopRequest(saves=True) as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        stop.check()
        assert (stop.signum, stop.noted) == (None, signal.SIGUSR1)
        assert stop.split(signal.SIGTERM) == (signal.SIGTERM, False)
        assert stop.split(stop.noted) == (None, True)
        assert stop.noted is None
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.noted == signal.SIGTERM


def test_a_run_in_another_thread_leaves_signals_to_the_main_one():
    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(handle, print, ENDING).result() == {}
    assert signal.getsignal(signal.SIGINT) == before
