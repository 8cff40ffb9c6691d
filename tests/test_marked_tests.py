"""Tests that `make test` leaves out are in the list of the make target that runs them."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MAKEFILE = (TESTS.parent / "Makefile").read_text().replace("\\\n", " ")
LISTS = {"processes": ("OF_PROCESSES", "OF_PROCESSES_ONCE"), "commands": ("OF_COMMANDS",), "files": ("OF_FILES",)}


@pytest.mark.parametrize("marker", LISTS)
def test_every_file_with_such_a_test_is_listed(marker):
    listed = {path for name in LISTS[marker] for path in re.search(rf"^{name} := (.*)$", MAKEFILE, re.M)[1].split()}
    marked = {
        path
        for path in TESTS.rglob("test_*.py")
        if re.search(rf"^[^\"'\n]*pytest\.mark\.{marker}\b", path.read_text(), re.M)
    }
    assert [path for path in marked if not {path, *path.parents} & {TESTS.parent / name for name in listed}] == []
    assert [name for name in listed if not any((TESTS.parent / name) in (path, *path.parents) for path in marked)] == []
