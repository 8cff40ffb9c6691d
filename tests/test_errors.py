from types import SimpleNamespace

import numpy as np
import pytest

from mae.errors import ConfigError, check_at_least, check_choice, library_reason, one_line, shown, some


def test_names_of_a_long_list():
    assert some([], 2) == "none"
    assert some([], 2, none="nothing") == "nothing"
    assert some(["a", "b"], 2) == "a, b"
    assert some(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_at_least():
    settings = SimpleNamespace(clips=1, top=None, workers=-1)
    check_at_least(1, settings, "clips", "top")
    with pytest.raises(ConfigError, match=r"^data\.workers=-1 must be at least 0$"):
        check_at_least(0, settings, "clips", "workers", prefix="data.")


def test_a_choice():
    check_choice("format", "csv", ["csv", "json"])
    with pytest.raises(ConfigError, match=r"^format 'jsn' does not exist; did you mean 'json'\? There are: csv, json$"):
        check_choice("format", "jsn", ["csv", "json"])


def test_an_error_of_many_lines():
    assert one_line(ValueError("first\n   second\n")) == "first second"


def test_a_librarys_advice_to_run_what_a_file_holds_is_not_passed_on(tmp_path):
    (tmp_path / "text").write_text("no array")
    with pytest.raises(ValueError, match="allow_pickle") as refused, open(tmp_path / "text", "rb") as file:
        np.load(file, allow_pickle=False)
    assert library_reason(refused.value) == "it is no file of plain arrays"
    assert library_reason(OSError("cut\nshort")) == "cut short"


def test_values_from_files_are_shown_in_a_few_words():
    assert [shown(value) for value in ("x", None, 3, 0.5, [], b"a")] == ["'x'", "None", "3", "0.5", "[]", "b'a'"]
    assert shown("x" * 1000) == f"{'x' * 80!r} … (1000 long)"
    doubling = (1,)
    for _ in range(100):
        doubling = (doubling, doubling)
    itself = {}
    itself["a"] = itself
    assert (shown(doubling), shown(itself), shown(10**5000)) == (
        "a tuple of 2",
        "a dict of 1",
        "a whole number of 16610 bits",
    )
    assert shown(object()) == "a object"
    with pytest.raises(ConfigError, match=r"positions 'xxx.* does not exist"):
        check_choice("positions", "x" * 100_000, ["sincos", "learnable"])
    with pytest.raises(ConfigError, match="positions a tuple of 2 does not exist"):
        check_choice("positions", doubling, ["sincos", "learnable"])  # type: ignore[arg-type]
