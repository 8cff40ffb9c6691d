"""Runs of the small configuration; what computes is imported where it is used, see `pytest_configure`."""

from types import SimpleNamespace

import pytest
from begun_runs import only_begun
from configured import SMALL_RUN, configured


@pytest.fixture
def run(shapes, tmp_path):
    """Runs the small configuration with overrides in `tmp_path / "run"`; returns that directory."""
    from mae.pretraining.run import pretrain

    def start(*overrides):
        pretrain(configured(*SMALL_RUN, f"dataset.root={shapes}", f"run_dir={tmp_path / 'run'}", *overrides))
        return tmp_path / "run"

    return start


@pytest.fixture
def begin(run):
    """As `run`, but the run ends before its first step."""

    def start(*overrides):
        with only_begun():
            run(*overrides)

    return start


@pytest.fixture(scope="session")
def uninterrupted(shapes, tmp_path_factory):
    """The directory of a run that nothing interrupted, and what it said."""
    from pretraining_runs import said_by

    directory = tmp_path_factory.mktemp("whole") / "run"
    said = said_by(f"dataset.root={shapes}", f"run_dir={directory}")
    return SimpleNamespace(directory=directory, said=said)


@pytest.fixture(scope="session")
def whole(uninterrupted):
    """The directory of that run."""
    return uninterrupted.directory


@pytest.fixture(scope="session")
def released(whole, tmp_path_factory):
    """The weights of the whole run as somebody else's file."""
    from pretraining_runs import model_of

    from mae.checkpoints.metadata import Training
    from mae.checkpoints.save import save_checkpoint

    path = tmp_path_factory.mktemp("released") / "weights.pth"
    save_checkpoint(model_of(whole), path, "pytorch", training=Training(licence="CC-BY-NC-4.0"))
    return path
