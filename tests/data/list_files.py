"""Empty files and lists, and the line that a mistake is told in."""

import os
from pathlib import Path

import pytest

from mae.errors import ConfigError


def touch(root, *names):
    for name in names:
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names_of(index, root):
    return [os.path.relpath(path, root) for path in index.paths]


def write_list(tmp_path, text, name="list.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def message_of(function, *arguments):
    with pytest.raises(ConfigError) as error:
        function(*arguments)
    message = str(error.value)
    assert "\n" not in message
    return message
