"""What may be installed, `pyproject.toml`, is what is tested: from `constraints-oldest.txt` to `constraints.txt`."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(name):
    """The versions of a file of constraints, by package; the first line of each that fits this Python."""
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (version,) = requirement.specifier
            if requirement.marker is None or requirement.marker.evaluate():
                found[canonicalize_name(requirement.name)] = version.version
    return found


def installed_with_the_oldest():
    """The requirements of what `make test-oldest` installs."""
    (extras,) = re.findall(r"-c constraints-oldest\.txt -e '\.\[(.+)\]'", (ROOT / "Makefile").read_text())
    lines = [line for extra in extras.split(",") for line in PROJECT["optional-dependencies"][extra]]
    return [Requirement(line) for line in PROJECT["dependencies"] + lines]


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-oldest.txt"])
def test_what_is_tested_may_be_installed(name):
    versions = pinned(name)
    for requirement in installed_with_the_oldest():
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_nothing_older_than_what_is_tested_may_be_installed():
    versions = pinned("constraints-oldest.txt")
    for requirement in installed_with_the_oldest():
        (least,) = [part.version for part in requirement.specifier if part.operator == ">="]
        tested = versions[canonicalize_name(requirement.name)]
        assert f"{tested}.".startswith(f"{least}."), f"{requirement} is tested with {tested}"
