"""What people are told to type, in a clone and where a wheel is installed; what the commands say of themselves."""

import re
import sys
from dataclasses import fields
from importlib import import_module

import pytest

from mae import __main__ as front
from mae.attention import AttentionConfig
from mae.cli import command, commands
from mae.cli.commands import COMMANDS, as_typed, to_install, to_type
from mae.convert import ConvertConfig, _Told
from mae.data.pack.__main__ import PackArguments
from mae.data.scan.__main__ import ScanConfig
from mae.extract import ExtractConfig
from mae.masks import MasksConfig
from mae.monitoring.replay import ReplayConfig
from mae.predict import PredictConfig
from mae.reconstruct import ReconstructConfig
from mae.report.__main__ import ReportConfig

CONFIGS = (
    *(AttentionConfig, ConvertConfig, ExtractConfig, MasksConfig, PackArguments, PredictConfig, ReconstructConfig),
    *(ReplayConfig, ReportConfig, ScanConfig),
)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_help_of_a_command_names_every_argument(config):
    text = import_module(config.__module__).__doc__
    own = [field.name for field in fields(config) if not hasattr(_Told, field.name) or config is not ConvertConfig]
    assert len(own) > 1
    for name in own:
        assert re.search(rf"^(\w+, )*{name}(, \w+)*  +\S", text, re.MULTILINE), name


@pytest.fixture
def in_this_process(monkeypatch):
    """What a command changes of its process it leaves alone."""
    monkeypatch.setattr(front, "end_on_interrupt", lambda: None)
    monkeypatch.setattr(command, "quiet_libraries", lambda: None)
    monkeypatch.setattr(command, "guard_output", lambda: None)


@pytest.mark.usefixtures("in_this_process")
def test_every_command_is_told_with_what_it_is_for(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mae"])
    with pytest.raises(SystemExit):
        front.run()
    told = capsys.readouterr().out
    for name in COMMANDS:
        assert re.search(rf"^(mae {name}|mae-{name}) .*\n    \w.+\.$", told, re.MULTILINE), name


@pytest.mark.usefixtures("in_this_process")
def test_another_name_than_a_command_s(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mae", "predcit", "--help"])
    with pytest.raises(SystemExit, match="2"):
        front.run()
    assert "error: command 'predcit' does not exist; did you mean 'predict'?" in capsys.readouterr().err


@pytest.fixture
def here(monkeypatch):
    """A python, and programs, which the shell finds in /env/bin."""
    monkeypatch.setattr(commands.shutil, "which", lambda name: f"/env/bin/{name}")
    monkeypatch.setattr(sys, "executable", "/env/bin/python3.11")
    monkeypatch.setattr(sys, "argv", ["pytest"])


@pytest.mark.usefixtures("here")
def test_what_to_type_in_a_clone(monkeypatch):
    assert to_type("predict", "video=b c") == "python -m mae.predict 'video=b c'"
    assert to_type("pack", "IN") == "python -m mae.data.pack IN"
    assert to_type("finetune") == "python finetune.py"
    monkeypatch.setattr(sys, "argv", ["../pretrain.py"])
    assert to_type("finetune") == "python ../finetune.py"
    monkeypatch.setattr(sys, "executable", "/my env/bin/python3.11")
    assert to_type("predict") == "'/my env/bin/python3.11' -m mae.predict"
    assert to_install("jax") == "pip install -e '.[jax]'"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("running", ["/env/bin/mae-pretrain", "/env/bin/mae", commands._PACKAGE / "__main__.py"])
def test_what_to_type_after_an_installed_program(monkeypatch, running):
    """Also where the package is that of a clone."""
    monkeypatch.setattr(sys, "argv", [str(running)])
    assert to_type("finetune", "a=b") == "mae-finetune a=b"
    assert to_type("predict") == "mae predict"


def test_what_was_typed():
    assert as_typed(["pretrain.py", "run_dir=a b"]) == "python pretrain.py 'run_dir=a b'"
    assert as_typed(["-m", "mae", "pretrain"]) == "python -m mae pretrain"
    assert as_typed(["/env/bin/mae-pretrain", "seed=1"]) == "mae-pretrain seed=1"


@pytest.mark.usefixtures("here")
def test_what_to_type_without_a_clone(monkeypatch):
    monkeypatch.setattr(commands, "is_clone", lambda: False)
    assert to_type("finetune") == "mae-finetune"
    assert to_install("jax") == "pip install 'mae-video[jax]'"
    monkeypatch.setattr(commands.shutil, "which", lambda _: None)
    assert to_type("finetune") == "/env/bin/python3.11 -m mae finetune"
    assert to_type("scan", "x") == "/env/bin/python3.11 -m mae scan x"
