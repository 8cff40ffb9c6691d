"""What `pip install .` brings: a wheel is built, installed into a folder of its own, and trains from another place."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from configured import SMALL_RUN
from patience import PATIENCE
from written_videos import noise_frames, write_video

import mae
from mae.cli.commands import COMMANDS

pytestmark = pytest.mark.commands

ROOT = Path(__file__).parents[1]
OWN = """# @package _global_
defaults:
  - override /recipe: demo
  - override /model: vit_tiny

dataset:
  kind: shapes
  name: mine
  frame_stride: 1
  root: {root}
  videos_per_class: 1
  val_videos_per_class: 1
  seed: 0
  classes: all
  background: ramp
"""

PROGRAM = """
import mae

few = {"warmup_steps": 0, "batch_size": 2, "log_every": 1, "report": False}
pretrained = mae.pretrain(
    dataset={"name": "folder", "root": "videos"},
    model={"preset": "vit_micro", "depth": 1},
    steps=2,
    run_dir="outputs/first",
    **few,
)
tuned = mae.finetune(init_from=pretrained.directory, steps=2, run_dir="outputs/tuned", **few)
print(mae.__file__)
print([record["step"] for run in (pretrained, tuned) for record in run.metrics if "loss" in record])
print(tuned.model.card.class_names)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: setuptools leaves files beside what it builds."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("conf", "mae"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "-w", source / "built", source], check=True, capture_output=True, timeout=PATIENCE)
    (built,) = (source / "built").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder that the wheel is installed in."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", folder]
    subprocess.run([*pip, wheel], check=True, capture_output=True, timeout=PATIENCE)
    return folder


@pytest.fixture
def run(installed, tmp_path):
    """Runs an installed program in an empty directory; of this clone its environment knows nothing."""
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    environment = known | {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    (tmp_path / "empty").mkdir()

    def run(program, *arguments):
        path = installed / "bin" / program
        command = [path, *arguments] if path.exists() else [sys.executable, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path / "empty", env=environment, timeout=PATIENCE
        )

    return run


def test_a_wheel_holds_the_package_every_setting_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    expected = {f"mae/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    expected |= {str(path.relative_to(ROOT)) for path in (ROOT / "mae").rglob("*.py")}
    expected |= {str(path.relative_to(ROOT)) for path in (ROOT / "mae").rglob("*.html")} | {"mae/py.typed"}
    assert {name for name in names if ".dist-info/" not in name} == expected
    told = zipfile.ZipFile(wheel).read(f"mae_video-{mae.__version__}.dist-info/METADATA").decode()
    assert f"\nVersion: {mae.__version__}\n" in told


def test_it_is_the_wheel_that_runs(run, installed):
    told = run("python", "-c", "import mae; print(mae.__file__, mae.__version__)")
    assert told.stdout == f"{installed}/mae/__init__.py {mae.__version__}\n"


def test_commands_tell_their_version_their_help_and_mistakes(run):
    assert run("mae-pretrain", "--version").stdout == f"mae-video {mae.__version__}\n"
    assert run("mae", "doctor", "--version").stdout == f"mae-video {mae.__version__}\n"
    told = run("mae", "--help").stdout
    assert [name for name in COMMANDS if not re.search(rf"^(mae {name}|mae-{name}) ", told, re.MULTILINE)] == []
    assert run("python", "-m", "mae", "--help").stdout == told
    assert run("mae", "doctor", "--help").stdout.startswith("`mae doctor [dataset=… model=… batch_size=…]`: what")
    mistaken = run("mae-finetune", "mod=probe")
    assert mistaken.returncode == 2
    assert mistaken.stderr == "error: config key 'mod' does not exist; did you mean 'mode'?\n"


def test_a_pre_training_on_a_data_set_of_one_s_own_configuration(run, tmp_path):
    (tmp_path / "own" / "dataset").mkdir(parents=True)
    (tmp_path / "own" / "dataset" / "mine.yaml").write_text(OWN.format(root=tmp_path / "videos"))
    arguments = ["--config-dir", str(tmp_path / "own"), "dataset=mine", *SMALL_RUN[1:], "steps=2"]
    done = run("mae-pretrain", *arguments)
    assert done.returncode == 0, done.stderr
    directory = tmp_path / "empty" / "outputs" / "mine-vit_tiny"
    assert (directory / "checkpoints" / "step_00000002.npz").exists()
    following = (directory / "next_commands.txt").read_text().splitlines()
    assert [line for line in following if "-m mae finetune init_from=outputs/mine-vit_tiny" in line]
    typed = (directory / "commands.txt").read_text()
    assert "  mae-pretrain --config-dir " in typed
    planned = run("mae-finetune", "--cfg", "job", "init_from=outputs/mine-vit_tiny")
    assert planned.stderr.startswith("taken from outputs/mine-vit_tiny/checkpoints/step_00000002.npz: "), planned.stderr
    assert "\n  name: mine\n" in planned.stdout


def test_a_program_pre_trains_and_fine_tunes_without_the_clone(run, installed, tmp_path):
    """It is silent, and finds its settings inside of the wheel."""
    for number, name in enumerate(("grow/0", "grow/1", "shrink/0", "shrink/1")):
        write_video(tmp_path / "empty" / "videos" / f"{name}.avi", noise_frames(8, number, 30, 40))
    done = run("python", "-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{installed}/mae/__init__.py\n[1, 2, 1, 2]\n('grow', 'shrink')\n"
    assert {path.name for path in (tmp_path / "empty").iterdir()} == {"videos", "outputs"}
