"""The scripts in `datasets/`, which is not a package."""

from pathlib import Path
from runpy import run_path

import pytest

from mae.data.lists.official.prepare import parse_arguments, prepare

DATASETS = Path(__file__).parents[2] / "datasets"


@pytest.fixture
def run(request, tmp_path):
    """Runs the script that the test module is named for, on `annotations` and `videos` below the temporary folder."""
    dataset = run_path(str(DATASETS / request.path.stem.removeprefix("test_") / "prepare.py"))["DATASET"]
    folders = [f"{name}={tmp_path / name}" for name in ("annotations", "videos")]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "videos").mkdir()
    return lambda *words: prepare(dataset, parse_arguments(dataset, [*folders, *words]))


@pytest.fixture
def annotations(tmp_path):
    return tmp_path / "annotations"


@pytest.fixture
def videos(tmp_path):
    return tmp_path / "videos"
