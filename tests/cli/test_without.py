import sys

import pytest

from mae.cli.without import without


def test_what_is_left_out_is_absent_within_and_there_afterwards(monkeypatch):
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    with pytest.raises(ModuleNotFoundError, match="tabnanny"), without("tabnanny"):
        import tabnanny
    import tabnanny

    assert tabnanny.__name__ == "tabnanny"


def test_what_is_imported_already_stays():
    with without("pytest"):
        assert sys.modules["pytest"] is pytest
    assert sys.modules["pytest"] is pytest
