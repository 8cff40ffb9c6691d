"""Runs that end before their first step, the most expensive of all: it would have to be compiled."""

from contextlib import contextmanager

import pytest

from mae.training import session


class _Begun(Exception):
    pass


def _end(*_):
    raise _Begun


@contextmanager
def only_begun():
    """Within it a run ends where its first step would be made: all has been said and looked at that comes before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "train", _end)
        with pytest.raises(_Begun):
            yield
