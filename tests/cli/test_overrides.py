"""Exit statuses and messages of the commands; nothing here imports TensorFlow in a new process."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mae.cli.arguments import command_config
from mae.cli.exit_status import exit_statuses
from mae.cli.overrides import check_overrides
from mae.errors import ConfigError, Interrupted, TrainingStopped
from mae.pretraining.config import typed_config

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ConfigError("two\n lines"), 2, "error: two lines\n"),
        (TrainingStopped("loss is nan"), 3, "stopped: loss is nan\n"),
        (Interrupted(signal.SIGTERM, "saved"), 128 + 15, "saved\n"),
        (KeyboardInterrupt(), 130, "interrupted; what was saved before is complete\n"),
    ],
)
def test_errors_become_one_line_and_a_status(error, status, message, capsys):
    with pytest.raises(SystemExit) as exit_info, exit_statuses():
        raise error
    assert exit_info.value.code == status
    assert capsys.readouterr().err == message


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), exit_statuses():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("mask_ration=0.9", "config key 'mask_ration' does not exist; did you mean 'mask_ratio'?"),
        ("optimizer.weight_decy=0.1", "did you mean 'optimizer.weight_decay'?"),
        ("wandb.mod=offline", "did you mean 'wandb.mode'?"),
        ("datasets=ssv2", "did you mean 'dataset"),
        ("dataset=ssv3", "dataset= 'ssv3' does not exist; did you mean 'ssv2'?"),
        ("model=vit_bas", "did you mean 'vit_base'?"),
        ("mask_ratio", "'mask_ratio' is not of the form key=value"),
        ("mask_ratio=[0.9", "'mask_ratio=[0.9' cannot be read as key=value"),
        ("--epochs=10", "there is no flag --epochs=10: did you mean 'epochs=10'?"),
        ("--epoch=10", "did you mean 'epochs=10'?"),
        ("--multirn", "there is no flag --multirn: did you mean '--multirun'?"),
        ("--xyz", "there is no flag --xyz: settings are written without dashes, as seed=1"),
        ("--shell-completion", "--shell-completion needs one of install=bash, "),
        ("--cfg", "--cfg: argument --cfg/-c: expected one argument; see --help"),
    ],
)
def test_a_wrong_argument_is_told_with_the_nearest_right_one(argument, message):
    with pytest.raises(ConfigError) as error:
        check_overrides(ROOT / "conf", "pretrain", [argument])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "mask_ration=0.5,0.9"], "config key 'mask_ration' does not exist; did you mean 'mask_ratio'?"),
        (["-m", "mask_ratio=0.5,0.9", "dataset=shapes,ssv3"], "dataset= 'ssv3' does not exist; did you mean 'ssv2'?"),
        (["--multirun", "mask_ratio=0.5,0.9", "target=pixels,pixel"], "target 'pixel' does not exist; did you mean"),
        (["-m", "seed=range(1,4)", "batch_size=choice(4,-1)"], "batch_size=-1 must be at least 1"),
        (["-m", "seed=range(1,4", "batch_size=4"], "'seed=range(1,4' cannot be read as key=value"),
    ],
)
def test_a_mistake_in_a_sweep_is_told_before_its_first_run(arguments, message):
    with pytest.raises(ConfigError) as error:
        check_overrides(ROOT / "conf", "pretrain", arguments, typed=typed_config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_of_a_sweep_each_value_is_checked_once():
    checked = []
    arguments = ["-m", "seed=range(1,4)", "mask_ratio=0.5,0.9", "epochs=10"]
    check_overrides(ROOT / "conf", "pretrain", arguments, typed=lambda c: checked.append((c.seed, c.mask_ratio)))
    assert checked == [(1, 0.5), (2, 0.5), (3, 0.5), (1, 0.9)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--shell-completion", "install=bash"],
        ["dataset=ssv2", "mask_ratio=0.9", "dataset.root=/x"],
        ["--help"],
        ["--cfg", "job"],
    ],
)
def test_right_arguments_pass(arguments):
    check_overrides(ROOT / "conf", "pretrain", arguments)


def test_a_mistyped_command_is_told_before_tensorflow_is_loaded(tmp_path):
    """Also: exit status 2, one line, and nothing on disk."""
    code = (
        "import runpy, sys; sys.argv = ['pretrain.py', 'mask_ration=0.9']\n"
        f"try: runpy.run_path({str(ROOT / 'pretrain.py')!r}, run_name='__main__')\n"
        "finally: assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: config key 'mask_ration' does not exist; did you mean 'mask_ratio'?\n"
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Arguments:
    video: str
    seed: int = 0


def test_arguments_of_small_commands():
    assert command_config(Arguments, ["video=a b.mp4", "seed=3"]) == Arguments("a b.mp4", 3)
    # Not YAML: a comment, a mapping, a list.
    for name in ("my #1 clip.mp4", "a: b.mp4", "[x] y=z.mp4"):
        assert command_config(Arguments, [f"video={name}"]).video == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=3"], "video= is missing; arguments: video=… [seed=…]"),
        (["vidio=a"], "did you mean 'video'?"),
        (["video=a", "seed=three"], "seed: "),
        (["a.mp4"], "'a.mp4' is not of the form key=value"),
    ],
)
def test_mistakes_in_arguments_of_small_commands(arguments, message):
    with pytest.raises(ConfigError) as error:
        command_config(Arguments, arguments)
    assert message in str(error.value)
