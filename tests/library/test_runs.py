"""Runs from Python are those of the commands: settings, mistakes, silence, callbacks, interruptions, what is left."""

import logging
import random
import re
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import hydra
import numpy as np
import pytest
from configured import configured, configured_finetuning
from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase

import mae
from mae.errors import ConfigError, Interrupted, TrainingStopped
from mae.training.run_directory import RunDirectory

README = Path(__file__).parents[2] / "README.md"
SMALL = {
    "dataset": {"name": "folder", "root": "videos"},
    "model": {"preset": "vit_micro", "depth": 1},
    "probe": {"every": None},
    "steps": 3,
    "warmup_steps": 0,
    "batch_size": 2,
    "log_every": 1,
    "checkpoint_every": 2,
    "evaluate_every": 2,
    "report": False,
}


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Runs are not made; the configs and callers of those that were asked for."""
    monkeypatch.chdir(tmp_path)
    made = []

    def note(config, caller):
        Path(config.run_dir).mkdir(parents=True)
        RunDirectory(config.run_dir).note_config(asdict(config))
        made.append((config, caller))

    monkeypatch.setattr("mae.pretraining.run.pretrain", note)
    monkeypatch.setattr("mae.finetuning.run.finetune", note)
    return made


def test_settings_are_those_of_the_command(asked, tmp_path):
    run = mae.pretrain(
        dataset={"name": "folder", "root": Path("my videos/${x}, (1)")},
        model="vit_small",
        optimizer={"name": "lamb", "weight_decay": np.float32(0.5), "clip_grad_norm": None},
        recipe="small",
        data={"frames": "null", "clips_per_video": 2},
        learning_rate=1e-9,
        overrides=["seed=3", "augment.flip=true"],
    )
    words = ["dataset=folder", r"dataset.root='my videos/\${x}, (1)'", "model=vit_small", "optimizer=lamb"]
    words += ["optimizer.weight_decay=0.5", "optimizer.clip_grad_norm=null", "recipe=small", "data.frames='null'"]
    words += ["data.clips_per_video=2", "learning_rate=1e-09", "seed=3", "augment.flip=true", "monitor=[]"]
    ((config, caller),) = asked
    assert config == configured(*words)
    assert config.data.frames == "null"
    assert list(caller.command) == ["mae-pretrain", *words]
    assert (run.directory, run.metrics, run.checkpoints, run.best, run.test, run.probe) == (
        Path("outputs/folder-vit_small"),
        [],
        [],
        None,
        None,
        None,
    )
    assert run.settings["optimizer.name"] == "lamb"


def test_what_is_sent_elsewhere_is_asked_for(asked):
    mae.finetune(dataset="ssv2")
    mae.finetune(dataset="ssv2", monitor=["wandb", "tensorboard"], run_dir="second")
    mae.finetune(dataset="ssv2", overrides=["monitor=[wandb]"], run_dir="third")
    (first, caller), (second, _), (third, _) = asked
    assert first == configured_finetuning("dataset=ssv2", "monitor=[]")
    assert list(caller.command) == ["mae-finetune", "dataset=ssv2", "monitor=[]"]
    assert (second.monitor, third.monitor) == (["wandb", "tensorboard"], ["wandb"])


def test_options_of_one_s_own(asked, tmp_path):
    (tmp_path / "own" / "recipe").mkdir(parents=True)
    (tmp_path / "own" / "recipe" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - demo\n  - _self_\n\nsteps: 17\n"
    )
    mae.pretrain(recipe="mine", config_dir=tmp_path / "own")
    assert asked[0][0].steps == 17


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask_ration": "a b(c"}, "config key 'mask_ration' does not exist; did you mean 'mask_ratio'?"),
        ({"model": {"preset": "vit_micro", "dept": 1}}, "'model.dept' does not exist; did you mean 'model.depth'?"),
        ({"dataset": {"name": "ssv3"}}, "dataset= 'ssv3' does not exist; did you mean 'ssv2'?"),
        ({"optimizer": {"name": "lam"}}, "optimizer= 'lam' does not exist; did you mean 'lamb'?"),
        ({"steps": "many"}, "steps: Value 'many' of type 'str' could not be converted to Integer"),
        ({"run_dir": None}, "run_dir=None: it needs a text"),
        ({"overrides": "seed=1"}, "overrides= is a list, as ['seed=1']"),
        ({"overrides": ["--multirun"]}, "overrides= takes settings, as 'seed=1', and '--multirun' is a flag"),
        ({"callbacks": [print]}, "callbacks= takes objects whose class is a mae.Callback, and got <built-in function"),
        ({"config_dir": "nowhere"}, "--config-dir nowhere is not a folder"),
    ],
)
def test_mistakes_are_told_with_the_nearest_name(settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=re.escape(message)):
        mae.pretrain(**settings)
    assert list(tmp_path.iterdir()) == []


def test_no_directory_of_a_run(tmp_path):
    with pytest.raises(ConfigError, match="is no run directory"):
        mae.Run(tmp_path)


@pytest.mark.parametrize(
    ("stopped", "raised"),
    [
        (Interrupted(signal.SIGINT, "interrupted after step 5; its state is saved"), KeyboardInterrupt),
        (Interrupted(signal.SIGTERM, "interrupted after step 5; its state is saved"), Interrupted),
        (TrainingStopped("loss is nan"), TrainingStopped),
    ],
)
def test_what_ends_a_run_is_an_exception(asked, monkeypatch, stopped, raised):
    def stop(*_):
        raise stopped

    monkeypatch.setattr("mae.pretraining.run.pretrain", stop)
    with pytest.raises(raised, match=str(stopped)):
        mae.pretrain()


def test_hydra_of_the_program_stays_as_it_is(asked, tmp_path):
    (tmp_path / "app.yaml").write_text("value: 1\n")
    VersionBase.instance().setbase(hydra.version._get_version("1.2"))
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.2"):
        theirs = GlobalHydra.instance().hydra
        mae.finetune()
        assert GlobalHydra.instance().hydra is theirs
        assert hydra.compose("app").value == 1
        assert str(VersionBase.instance().getbase()) == "1.2"


def test_the_backend_is_chosen_by_the_first_run_of_a_process():
    code = "import sys, mae; mae.pretrain, mae.finetune; assert not {'keras', 'tensorflow', 'jax'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


class Noted(mae.Callback):
    """What a run calls."""

    def __init__(self, on_step=None, raises=None):
        self.called, self._on_step, self._raises = [], on_step, raises

    def on_log(self, record):
        print("printed by a callback")
        self.called.append(("log", record["step"]))
        if record["step"] == self._on_step:
            signal.raise_signal(signal.SIGINT)

    def on_evaluation(self, step, figures):
        self.called.append(("evaluation", step, "psnr" in figures))

    def on_checkpoint(self, step, path):
        self.called.append(("checkpoint", step, path.name, path.exists()))
        if self._raises is not None:
            raise self._raises


def state():
    """What of this process a run may change while it trains."""
    import keras

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)]
    keras_own = keras.config.dtype_policy().name, keras.config.floatx()
    logger = logging.getLogger()
    return handlers, keras_own, sys.stdout, sys.argv, random.getstate(), logger.level, logger.manager.disable


@pytest.mark.usefixtures("beside_videos", "interrupts")
def test_a_run_is_interrupted_and_goes_on_and_all_is_as_before(capsys):
    before = state()
    first = Noted(on_step=1)
    with pytest.raises(KeyboardInterrupt, match="interrupted after step 2; its state is saved"):
        mae.pretrain(callbacks=[first], **SMALL)
    assert first.called == [("log", 1), ("checkpoint", 2, "step_00000002.npz", True)]

    error = ConnectionError("no tracker")  # an OSError, as of a disk that is full
    second = Noted(raises=error)
    with pytest.raises(ConnectionError) as raised:
        mae.pretrain(callbacks=[second], **SMALL)
    assert raised.value is error
    assert second.called == [
        ("evaluation", 2, True),
        ("log", 2),
        ("checkpoint", 2, "step_00000002.npz", True),
    ]

    third = Noted()
    run = mae.pretrain(callbacks=[third], **SMALL)
    assert third.called == [("evaluation", 3, True), ("log", 3), ("checkpoint", 3, "step_00000003.npz", True)]
    assert state() == before
    told = capsys.readouterr()
    assert (set(told.out.splitlines()), told.err) == ({"printed by a callback"}, "")

    assert [record["step"] for record in run.metrics] == [1, 2, 3]
    assert [path.name for path in run.checkpoints] == [f"step_0000000{step}.npz" for step in (2, 3)]
    assert "  mae-pretrain dataset=folder dataset.root=videos " in (run.directory / "commands.txt").read_text()

    again = mae.pretrain(verbose=True, **SMALL)
    assert "the training is complete: 3 of 3 steps are made\n" in capsys.readouterr().out
    assert again.metrics == run.metrics


@pytest.mark.commands
def test_the_program_in_the_readme_pre_trains_fine_tunes_and_predicts(beside_videos, capsys):
    """With a model of one block, of a few steps on five videos."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    (program,) = [block for block in blocks if "mae.pretrain(" in block]
    assert len([line for line in program.splitlines() if line]) <= 10
    replaced = {
        '"/data/my_videos"': '"videos"',
        '"new_videos"': '"videos/grow"',
        '"vit_small", steps=20_000': '{"preset": "vit_micro", "depth": 1}, **few',
        "epochs=50": "test={'clips': 1, 'crops': 1}, **few",
    }
    for usual, small in replaced.items():
        assert program.count(usual) == 1, usual
        program = program.replace(usual, small)
    few = {"steps": 2, "warmup_steps": 0, "batch_size": 2, "report": False}
    exec(compile(program, README.name, "exec"), {"few": few})
    loss, top1, *predicted = capsys.readouterr().out.splitlines()
    assert float(loss) > 0
    assert 0 <= float(top1) <= 1
    assert [line.split()[0].rsplit("/", 1)[1] for line in predicted] == ["0.avi", "1.avi", "2.avi"]
    assert {line.split()[1] for line in predicted} <= {"grow", "move_left"}
