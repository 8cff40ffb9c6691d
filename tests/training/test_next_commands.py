"""The commands that a run prints at its end: run as they stand, from names that neither a shell nor Hydra likes."""

import os
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from configured import SMALL_RUN, configured, configured_finetuning
from omegaconf import OmegaConf

from mae.errors import ConfigError
from mae.finetuning.inherited import with_inherited
from mae.pretraining.run import pretrain
from mae.reconstruct import main as reconstruct
from mae.training.handed_down import handed_down

ROOT = Path(__file__).parents[2]
CSV = ("dataset=csv", "dataset.train=a, b.csv", "dataset.root=/data/x", "model=vit_micro", "model.num_frames=8")
HANDED_DOWN = [
    *("model=vit_micro", "model.num_frames=8", "dataset=csv", "dataset.root=/data/x", "dataset.train='a, b.csv'"),
]


def test_what_is_handed_down_is_what_differs_from_the_groups():
    assert list(handed_down(asdict(configured(*CSV))).values()) == HANDED_DOWN
    named = handed_down(asdict(configured("dataset=ssv2", "dataset.root=/data/ssv2", "dataset.val=null")))
    assert list(named.values()) == ["model=vit_base", "dataset=ssv2", "dataset.root=/data/ssv2", "dataset.val=null"]
    own = handed_down(asdict(configured("dataset=folder", "dataset.name=1e3", "dataset.root=~", "dataset.holdout=0.2")))
    assert own["dataset"] == "dataset=folder"
    assert own["dataset.name"] == "dataset.name=1e3"
    assert own["dataset.holdout"] == "dataset.holdout=0.2"


@pytest.fixture
def run(tmp_path):
    """A directory that looks like a run's."""
    (tmp_path / "run=1 x" / "checkpoints").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(asdict(configured(*CSV))), tmp_path / "run=1 x" / "config.yaml")
    return tmp_path / "run=1 x"


def test_a_fine_tuning_takes_model_data_set_and_clip_from_the_run(run):
    arguments, told = with_inherited(["seed=3", f"init_from={run}", "epochs=2"])
    assert arguments == ["seed=3", *HANDED_DOWN, f"init_from={run}", "epochs=2"]
    assert told == f"taken from {run}/config.yaml: {' '.join(HANDED_DOWN)}"
    config = configured_finetuning(*arguments)
    assert (config.dataset.train, config.dataset.root) == ("a, b.csv", "/data/x")
    assert (config.model.preset, config.model.num_frames, config.init_from) == ("vit_micro", 8, str(run))
    of_a_file, _ = with_inherited([f"init_from='{run}/checkpoints/step_00000002.npz'"])
    assert of_a_file[:-1] == HANDED_DOWN


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["dataset.train=c.csv"], HANDED_DOWN[:-1]),
        (["dataset=ssv2"], HANDED_DOWN[:2]),
        (["model=vit_base"], HANDED_DOWN[2:]),
        (["model=vit_base", "dataset=ssv2"], []),
    ],
)
def test_what_is_named_is_not_taken(run, given, taken):
    arguments, told = with_inherited([*given, f"init_from={run}"])
    assert arguments == [*given, *taken, f"init_from={run}"]
    assert (told is None) == (not taken)


@pytest.mark.parametrize("value", ["null", "random", "/not/there", "released.h5"])
def test_nothing_is_taken_from_what_is_no_run(value):
    assert with_inherited([f"init_from={value}"]) == ([f"init_from={value}"], None)


def test_a_sweep_over_runs_takes_nothing_and_one_over_others_does(run):
    assert with_inherited(["-m", f"init_from={run},{run}"])[1] is None
    assert with_inherited(["-m", f"init_from={run}", "seed=1,2"])[0][1:-2] == HANDED_DOWN


def test_a_damaged_config_is_one_line(run):
    for text in ("a: [", "model: {}", ""):
        (run / "config.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"config\.yaml (cannot be read|is no config of a run)"):
            with_inherited([f"init_from={run}"])


def test_the_commands_after_a_pre_training_work(shapes, tmp_path, monkeypatch, capsys):
    """The first video of the list cannot be read; all names hold what has a meaning elsewhere."""
    monkeypatch.chdir(tmp_path)
    videos = sorted(path for path in Path(shapes).rglob("*.*") if path.is_file())[:8]
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    lines = [f"{path},{number % 2}" for number, path in enumerate([tmp_path / "broken.mp4", *videos])]
    (tmp_path / "list=1, a.csv").write_text("".join(f"{line}\n" for line in lines))
    settings = [setting for setting in SMALL_RUN if not setting.startswith("dataset.")]
    data = ("dataset=csv", "dataset.train=list=1, a.csv", "dataset.frame_stride=1", "data.max_bad_frac=0.5")
    pretrain(configured(*data, *settings, "steps=2", "run_dir=run=1 x"))
    printed = [line.strip() for line in capsys.readouterr().out.splitlines()[-2:]]
    assert (tmp_path / "run=1 x" / "next_command.txt").read_text().splitlines() == printed
    look, finetune = (shlex.split(line) for line in printed)

    assert look[:3] == ["python", "-m", "mae.reconstruct"]
    assert look[-1] == f"video={videos[0]}"
    reconstruct(look[3:])
    assert (tmp_path / f"{videos[0].stem}_reconstruction.png").exists()

    assert finetune[:2] == ["python", "finetune.py"]
    few = ["batch_size=4", "steps=1", "warmup_steps=0", "data.max_bad_frac=0.5", "wandb.mode=disabled"]
    done = subprocess.run(
        [sys.executable, ROOT / "finetune.py", *finetune[2:], *few],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1].strip()
    assert last.startswith("python -m mae.predict checkpoint=outputs/csv-vit_base-finetuned video=")
    assert shlex.split(last)[-1] == f"video={videos[0]}"
