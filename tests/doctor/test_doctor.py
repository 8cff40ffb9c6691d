import subprocess
import sys

import keras
import pytest
from configured import SMALL_RUN, configured
from patience import PATIENCE
from replicas import engine_of

import mae.doctor.__main__ as doctor
import mae.doctor.computing as computing
import mae.doctor.fitting as fitting
import mae.doctor.speed as speed
from mae.doctor.finding import Finding, fatal
from mae.errors import ConfigError
from mae.presets import PRESETS


def test_a_finding_shows_its_remedy_below_it():
    assert str(Finding("disk", "10 GB are free")) == "disk        10 GB are free"
    assert str(Finding("disk", "full", "make room")) == "disk        problem: full\n            → make room"
    assert str(fatal("disk", "full", "make room")).startswith("disk        FAILS: full")


@pytest.mark.parametrize(
    ("findings", "status", "last"),
    [
        ([Finding("a", "b")], 0, "training can run here; no problems"),
        ([Finding("a", "b", "c")], 0, "training can run here; 1 problem"),
        ([Finding("a", "b", "c"), fatal("d", "e", "f")], 1, "training would fail here: d"),
    ],
)
def test_the_exit_status_is_1_where_training_would_fail(monkeypatch, capsys, findings, status, last):
    monkeypatch.setattr(doctor, "examine", lambda config, is_asked: iter([findings]))
    assert doctor.main([]) == status
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_arguments_are_those_of_pretraining():
    assert doctor.composed_config(["model=vit_small", "batch_size=8"]).batch_size == 8
    with pytest.raises(ConfigError, match="did you mean 'batch_size'"):
        doctor.composed_config(["batchsize=8"])


@pytest.mark.processes
def test_two_replicas_agree():
    found = computing.check_replicas(keras.config.backend())
    assert found.remedy is None, found
    assert "differ by" in found.text


@pytest.mark.parametrize(
    ("output", "status", "text"),
    [("0.5\n", 0, "differ by 5e-01 at most"), ("nan\n", 0, "differ by nan"), ("", 1, "ended with status 1: no output")],
)
def test_replicas_that_do_not_agree_are_fatal(monkeypatch, output, status, text):
    ended = subprocess.CompletedProcess([], status, stdout=output, stderr="")
    monkeypatch.setattr(computing.subprocess, "run", lambda *_, **__: ended)
    found = computing.check_replicas("tensorflow")
    assert found.is_fatal
    assert text in found.text


def test_a_device_that_cannot_be_used_is_fatal(monkeypatch):
    def refuse(setup):
        raise ConfigError("an NVIDIA driver is here, but TensorFlow sees no GPU: pip install -e '.[gpu]'")

    monkeypatch.setattr("mae.engines.start.start_engine", refuse)
    engine, (found,) = computing.check_devices(None)
    assert engine is None
    assert found.is_fatal
    assert found.remedy == "pip install -e '.[gpu]'"


def test_speed_is_timed_of_small_models_and_follows_of_large_ones(monkeypatch):
    """A step takes its work at a tenth of the rate: `vit_small`'s is counted by hand, 160 of 1568 tokens visible."""
    encoder = 12 * 160 * 2 * (12 * 384**2 + 2 * 160 * 384)
    decoder = 4 * 1568 * 2 * (12 * 192**2 + 2 * 1568 * 192)
    ends = 2 * 160 * 384 * (1536 + 192) + 2 * 1408 * 192 * 1536
    work = 3 * (encoder + decoder + ends)
    assert speed._work(PRESETS["vit_small"]) == pytest.approx(work)
    monkeypatch.setattr(speed, "matmul_rate", lambda engine, dtype: 100 * work)
    monkeypatch.setattr(speed, "LONGEST_STEP_S", 1.5)  # seconds: ten clips of `vit_small` take one
    monkeypatch.setattr(speed, "_seconds_of_step", lambda engine, a, clips: clips * speed._work(a) / (10 * work))
    rows = speed.check_speed(engine_of(1)).text.splitlines()
    assert "vit_small: 10 clips/s of 16 × 224² (timed, 10% of the rate)" in rows
    (base,) = [row for row in rows if row.startswith("vit_base")]
    assert base.endswith("(as much of the rate as vit_small)")


def test_a_step_of_a_size_is_timed():
    assert 0 < speed._seconds_of_step(engine_of(1), PRESETS["vit_micro"], 2) < PATIENCE


def test_memory_that_is_there_and_memory_that_is_not(monkeypatch):
    config = configured(*SMALL_RUN, "batch_size=8")
    engine = engine_of(1)
    (fits,) = fitting.check_memory(config, engine)
    assert fits.remedy is None
    assert fits.text.endswith("it fits")
    monkeypatch.setattr(fitting, "available_memory", lambda: 10**9)
    (small,) = fitting.check_memory(config, engine)
    assert small.is_fatal
    assert "without any clips it would not fit" in small.remedy


def test_what_is_missing_says_into_how_many_parts(monkeypatch):
    config = configured("model=vit_small", "batch_size=64", "dataset=folder", "dataset.root=.", "accumulate=1")
    engine = engine_of(1)
    needed = fitting.check_memory(config, engine)[0]
    assert needed.topic == "memory"
    monkeypatch.setattr(fitting, "available_memory", lambda: 6 * 10**9)
    (small,) = fitting.check_memory(config, engine)
    # 10 GB of clips and 2 GB of all else: a quarter of the clips has to be enough.
    assert small.remedy.startswith("accumulate=4 " if engine.name == "tensorflow" else "accumulate=")


def test_the_command_as_it_is_typed():
    command = [sys.executable, "-m", "mae.doctor", "model=vit_smal"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 2
    assert "did you mean 'vit_small'" in ended.stderr
