"""Videos as a user has them: a folder of two classes, made once."""

import os

import pytest
from written_videos import noise_frames, write_video


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """`videos/` with five videos of eight frames of 40×30: three of the class grow, two of move_left."""
    root = tmp_path_factory.mktemp("library") / "videos"
    for number, name in enumerate(("grow/0", "grow/1", "grow/2", "move_left/0", "move_left/1")):
        write_video(root / f"{name}.avi", noise_frames(8, number, 30, 40))
    return root


@pytest.fixture
def beside_videos(folder, tmp_path, monkeypatch):
    """A working directory with that folder in it."""
    os.symlink(folder, tmp_path / "videos")
    monkeypatch.chdir(tmp_path)
