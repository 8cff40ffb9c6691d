"""Videos as a user has them: a folder of two classes, made once."""

import contextlib
import os

import pytest
from written_videos import noise_frames, write_video

FEW_STEPS = {"steps": 2, "warmup_steps": 0, "batch_size": 2, "log_every": 1, "report": False}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """`videos/` with five videos of eight frames of 40×30: three of the class grow, two of move_left."""
    root = tmp_path_factory.mktemp("library") / "videos"
    for number, name in enumerate(("grow/0", "grow/1", "grow/2", "move_left/0", "move_left/1")):
        write_video(root / f"{name}.avi", noise_frames(8, number, 30, 40))
    return root


@pytest.fixture(scope="session")
def pretrained(folder, tmp_path_factory):
    """The directory of a pre-training of two steps on that folder, whose path it knows relative to that folder's."""
    import mae

    with contextlib.chdir(folder.parent):
        run = mae.pretrain(
            dataset={"name": "folder", "root": "videos"},
            model={"preset": "vit_micro", "depth": 1},
            probe={"every": None},
            run_dir=tmp_path_factory.mktemp("pretrained") / "run",
            **FEW_STEPS,
        )
    return run.directory


@pytest.fixture
def beside_videos(folder, tmp_path, monkeypatch):
    """A working directory with that folder in it."""
    os.symlink(folder, tmp_path / "videos")
    monkeypatch.chdir(tmp_path)
