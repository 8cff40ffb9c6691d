"""The commands that a run prints at its end, run as they stand: names have what a shell or Hydra takes for its own."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from begun_runs import only_begun
from configured import CONF, SMALL_RUN, configured, configured_finetuning
from encoded_videos import write_song
from omegaconf import OmegaConf
from written_videos import noise_frames, write_video

from mae import predict, reconstruct
from mae.cli import commands
from mae.cli.overrides import share_groups
from mae.finetuning.config import register_finetune_resolvers
from mae.finetuning.evaluate import evaluate
from mae.finetuning.inherited import with_inherited
from mae.finetuning.probe import probe
from mae.finetuning.run import finetune
from mae.pretraining import report
from mae.pretraining.run import pretrain
from mae.training import next_commands

ROOT = Path(__file__).parents[2]
SIZES = [setting for setting in SMALL_RUN if not setting.startswith("dataset.")]
FEW = ("steps=1", "warmup_steps=0", "test.clips=1", "test.crops=1", "wandb.mode=disabled", "report=false")


@pytest.fixture(autouse=True)
def composing():
    share_groups(CONF)
    register_finetune_resolvers()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with two classes of two videos, but that the first is a song with a cover picture."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a=1/0, x.mp4", "a=1/1 é.avi", "b/2.avi", "b/3.avi")):
        write_video(tmp_path / "videos" / name, noise_frames(6, seed=number))
    write_song(tmp_path / "videos" / "a=1" / "0, x.mp4", "mp4", "aac")
    return tmp_path


def after(capsys, *settings):
    """The lines that a short pre-training with these settings ends with."""
    pretrain(configured(*SIZES, "steps=2", "warmup_steps=0", "batch_size=2", *settings))
    *_, run_line, head, first, second, third = capsys.readouterr().out.splitlines()
    assert run_line.startswith("run: ")
    assert head.startswith("next (also in ")
    return [line.strip() for line in (first, second, third)]


def run_here(line, *more):
    """What the printed line does, without another interpreter."""
    python, *words = shlex.split(line)
    assert python in ("python", sys.executable)
    if words[0] == "-m":
        {"mae.reconstruct": reconstruct, "mae.predict": predict}[words[1]].main(words[2:])
        return None
    assert words[0] == "finetune.py"
    config = configured_finetuning(*with_inherited(words[1:], CONF)[0], *more)
    {"train": finetune, "probe": probe, "eval": evaluate}[config.mode](config)
    return Path(config.run_dir)


def assert_skips_the_song(run_dir):
    """The other three are trained on, and the song is told with its reason."""
    with open(run_dir / "bad_videos.csv", encoding="utf-8", newline="") as file:
        _, (path, reason) = csv.reader(file)
    assert (Path(path).name, reason) == ("0, x.mp4", "a song with the picture of a cover, not a video")
    assert (run_dir / "metrics.jsonl").stat().st_size > 0


@pytest.mark.commands
def test_after_a_list(folder, capsys, monkeypatch):
    paths = sorted((folder / "videos").rglob("*.*"))
    lines = [f'"{path}",{path.parent.name}\n' for path in paths]
    (folder / "list=1, a.csv").write_text("path,label\n" + "".join(lines))
    data = ("dataset=csv", "dataset.train=list=1, a.csv", "dataset.val=list=1, a.csv", "data.max_bad_frac=0.5")
    monkeypatch.setattr(sys, "argv", [str(ROOT / "pretrain.py")])  # from another directory than the working one
    look, finetuning, probing = after(capsys, *data, "run_dir=run=1 x")
    assert (folder / "run=1 x" / "next_commands.txt").read_text().splitlines() == [look, finetuning, probing]
    assert shlex.split(look)[-1] == f"video={paths[1]}"
    assert_skips_the_song(folder / "run=1 x")
    run_here(look)
    assert (folder / "1 é_reconstruction.png").exists()

    # As a shell takes it, in an interpreter of its own.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(f"{finetuning} {' '.join(FEW)}", shell=True, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (
        f"taken from run=1 x{os.sep}checkpoints{os.sep}step_00000002.npz: model=vit_base model.image_size=32"
        in done.stderr
    )
    assert_skips_the_song(folder / "outputs" / "csv-vit_base-finetuned")
    predicting = done.stdout.splitlines()[-1].strip()
    assert shlex.split(predicting)[-2:] == ["checkpoint=outputs/csv-vit_base-finetuned", f"video={paths[1]}"]
    run_here(predicting)
    assert "  a=1  " in capsys.readouterr().out

    monkeypatch.setattr(sys, "argv", ["finetune.py"])
    monkeypatch.setattr(commands, "_python", lambda: "python")
    assert probing.endswith("finetune.py mode=probe 'init_from=run=1 x'")
    done = run_here("python finetune.py mode=probe 'init_from=run=1 x'", "probe.kinds=[knn]", "report=false")
    assert (done / "probe.json").exists()
    done = run_here("python finetune.py mode=eval run_dir=outputs/csv-vit_base-finetuned", *FEW)
    assert (done / "test.json").exists()


def test_after_a_folder(folder, capsys):
    data = ("dataset=folder", "dataset.root=videos", "dataset.holdout=0.5", "data.max_bad_frac=0.5")
    look, finetuning, probing = after(capsys, *data, "run_dir=a,b")
    run_here(look)
    with only_begun():
        run_here(finetuning, "wandb.mode=disabled", "run_dir=tuned")
    assert OmegaConf.load(folder / "tuned" / "config.yaml").dataset.holdout == 0.5
    assert (run_here(probing, "probe.kinds=[knn]", "report=false", "run_dir=probed") / "probe.json").exists()


def test_after_the_demo(shapes, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = ("dataset.videos_per_class=1", "dataset.val_videos_per_class=1", f"dataset.root={shapes}")
    _, finetuning, probing = after(capsys, *data, "run_dir=é")
    assert shlex.split(finetuning)[1:] == ["finetune.py", "init_from=é", "batch_size=12"]
    assert shlex.split(probing)[1:] == ["finetune.py", "mode=probe", "init_from=é"]
    with only_begun():
        run_here(finetuning, "wandb.mode=disabled", "run_dir=tuned")
    assert OmegaConf.load(tmp_path / "tuned" / "config.yaml").dataset.root == str(shapes)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            ("dataset=csv", "dataset.train=plain.csv"),
            r"has no labels, .* python finetune.py init_from=r dataset.train=…",
        ),
        (
            ("dataset=folder", "dataset.root=videos/b"),
            r"has no labels, .* python finetune.py init_from=r dataset.root=…",
        ),
        (("dataset=csv", "dataset.train=one.csv"), r"are of one class, .* dataset.train=…"),
        (("dataset=csv", "dataset.train=l.csv", "dataset.val=no.csv"), r"no\.csv.* dataset.train=…"),
    ],
)
def test_videos_that_no_fine_tuning_takes(folder, monkeypatch, settings, told):
    monkeypatch.setattr(commands, "_python", lambda: "python")
    (folder / "plain.csv").write_text("videos/b/2.avi\nvideos/b/3.avi\n")
    (folder / "one.csv").write_text("videos/b/2.avi 1\nvideos/b/3.avi 1\n")
    (folder / "l.csv").write_text("videos/b/2.avi 0\nvideos/b/3.avi 1\n")
    (folder / "r").mkdir()
    look, note = report.print_summary(configured(*settings), Path("r"), "v.avi").splitlines()[2:]
    assert look == "  python -m mae.reconstruct checkpoint=r video=v.avi"
    assert note.startswith("  # no fine-tuning of this data set: ")
    assert re.search(told, note)


def test_without_videos_to_test_on_there_is_no_probe(folder, monkeypatch):
    monkeypatch.setattr(commands, "_python", lambda: "python")
    (folder / "l.csv").write_text("videos/b/2.avi 0\nvideos/b/3.avi 1\n")
    (folder / "r").mkdir()
    told = report.print_summary(configured("dataset=csv", "dataset.train=l.csv"), Path("r"), None).splitlines()[2:]
    assert told == [
        "  python finetune.py init_from=r batch_size=2",
        "  # python finetune.py mode=probe init_from=r has nothing to test on: give dataset.val=list.csv, "
        "or dataset.holdout=0.2",
    ]


def test_a_list_as_small_as_a_batch_of_the_recipes():
    for recipe in ("own", "demo"):
        assert OmegaConf.load(CONF / "finetune" / "recipe" / f"{recipe}.yaml").batch_size == report.FINETUNING_BATCH


def test_no_command_where_it_cannot_be_kept_is_lost(tmp_path):
    (tmp_path / "file").touch()
    told = next_commands.tell_next(tmp_path / "file", ["python"])
    assert "cannot be written" in told
    assert told.endswith("\n  python")
