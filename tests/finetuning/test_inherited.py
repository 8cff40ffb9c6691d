"""What a fine-tuning takes from the run in `init_from`, and what it leaves alone."""

from dataclasses import asdict

import numpy as np
import pytest
from configured import CONF, configured, configured_finetuning

from mae.checkpoints.run_state import write_checkpoint
from mae.cli.overrides import share_groups
from mae.cli.typed import register_resolvers
from mae.errors import ConfigError
from mae.finetuning.inherited import with_inherited

CSV = ("dataset=csv", "dataset.train=a, b.csv", "dataset.root=/data/${x}", "model=vit_micro", "model.num_frames=8")
MODEL = ["model=vit_micro", "model.num_frames=8"]
DATASET = ["dataset=csv", r"dataset.root=/data/\${x}", "dataset.train='a, b.csv'", "data.frames=img_*"]


@pytest.fixture(autouse=True)
def composing():
    share_groups(CONF)
    register_resolvers()


@pytest.fixture
def run_of(tmp_path):
    """Makes a directory as a run with this config leaves it."""

    def make(config):
        path = tmp_path / "run=1 x" / "checkpoints" / "step_00000002.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(path, {"a": np.zeros(1)}, {"step": 2, "config": config})
        return tmp_path / "run=1 x"

    return make


@pytest.fixture
def run(run_of):
    config = asdict(configured(*(s.replace("${", r"\${") for s in CSV), "data.frames=img_*"))
    return run_of(config)


def test_model_data_set_and_clips_are_taken(run):
    arguments, told = with_inherited(["seed=3", f"init_from={run}", "epochs=2"], CONF)
    assert arguments == ["seed=3", *MODEL, *DATASET, f"init_from={run}", "epochs=2"]
    assert told == f"taken from {run}/checkpoints/step_00000002.npz: {' '.join(MODEL + DATASET)}"
    config = configured_finetuning(*arguments)
    assert (config.dataset.train, config.dataset.root, config.data.frames) == ("a, b.csv", "/data/${x}", "img_*")
    assert (config.model.preset, config.model.num_frames, config.init_from) == ("vit_micro", 8, str(run))


@pytest.mark.parametrize("quoted", ["init_from={}", "init_from='{}'", "++init_from={}", 'init_from="{}"'])
def test_a_run_is_found_by_any_of_its_names(run, quoted):
    for path in (run, run / "checkpoints", run / "checkpoints" / "step_00000002.npz"):
        assert with_inherited([quoted.format(path)], CONF)[0][:-1] == MODEL + DATASET


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["dataset.train=c.csv"], [*MODEL, *DATASET[:2], "data.frames=img_*"]),
        (["dataset=csv"], MODEL + DATASET[1:]),
        (["dataset=ssv2"], MODEL),
        (["model=vit_micro"], MODEL[1:] + DATASET),
        (["model=vit_base"], DATASET),
        (["model=vit_base", "dataset=ssv2"], []),
    ],
)
def test_what_is_given_stays(run, given, taken):
    arguments, told = with_inherited([*given, f"init_from={run}"], CONF)
    assert arguments == [*given, *taken, f"init_from={run}"]
    assert (told is None) == (not taken)


def test_a_test_without_init_from_is_of_the_run_in_run_dir(run):
    assert with_inherited(["mode=eval", f"run_dir={run}"], CONF)[0] == ["mode=eval", *MODEL, *DATASET, f"run_dir={run}"]
    assert with_inherited([f"run_dir={run}"], CONF) == ([f"run_dir={run}"], None)


@pytest.mark.parametrize("value", ["null", "random", "/not/there", "released.h5", ""])
def test_nothing_is_taken_from_what_is_no_run(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "released.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert with_inherited([f"init_from={value}"], CONF) == ([f"init_from={value}"], None)


def test_what_is_learnt_is_taken_from_a_fine_tuning(run_of):
    given = ("dataset=csv", "dataset.train=a.csv", "dataset.targets=[EF,'two words']", "task=regression")
    run = run_of(asdict(configured_finetuning(*given)))
    arguments, _ = with_inherited(["mode=eval", f"init_from={run}"], CONF)
    config = configured_finetuning(*arguments)
    assert (config.task, config.dataset.targets) == ("regression", ["EF", "two words"])
    arguments, _ = with_inherited(["task=multilabel", "dataset.targets=[]", f"init_from={run}"], CONF)
    config = configured_finetuning(*arguments)
    assert (config.task, config.dataset.targets, config.dataset.train) == ("multilabel", [], "a.csv")


def test_a_sweep_over_runs_takes_nothing_and_one_over_others_does(run):
    assert with_inherited(["-m", f"init_from={run},{run}"], CONF)[1] is None
    assert with_inherited(["-m", f"init_from={run}", "seed=1,2"], CONF)[0][1:-2] == MODEL + DATASET


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["dataset=shapes_dark", "dataset.seed=1"], ["model=vit_micro", "dataset=shapes_dark", "dataset.seed=1"]),
        (["dataset=motion_order"], ["model=vit_micro", "dataset=motion_order"]),
        (["dataset=ssv2", "dataset.val=null"], ["model=vit_base", "dataset=ssv2", "dataset.val=null"]),
        (["dataset=folder", "dataset.name=ssv2"], ["model=vit_base", "dataset=folder", "dataset.name=ssv2"]),
    ],
)
def test_the_data_set_is_found_by_its_name_and_its_settings(run_of, given, taken):
    run = run_of(asdict(configured(*given)))
    assert with_inherited([f"init_from={run}"], CONF)[0][:-1] == taken


def test_settings_that_earlier_versions_did_not_have_are_the_usual_ones(run_of):
    config = asdict(configured("dataset=ssv2"))
    for section, name in (("dataset", "test"), ("data", "frames"), ("model", "positions")):
        del config[section][name]
    assert with_inherited([f"init_from={run_of(config)}"], CONF)[0][:-1] == ["model=vit_base", "dataset=ssv2"]


def test_a_run_that_does_not_tell_is_one_line(run_of):
    renamed = asdict(configured("dataset=motion_order", "dataset.name=mine"))
    run = run_of(renamed)
    with pytest.raises(ConfigError, match=r"step_00000002.npz does not tell what kind of data set its 'mine' is: give"):
        with_inherited([f"init_from={run}"], CONF)
    assert with_inherited([f"init_from={run}", "dataset=shapes"], CONF)[0][0] == "model=vit_micro"
    run_of({**renamed, "model": {"preset": "vit_micron"}})
    with pytest.raises(ConfigError, match=r"model preset 'vit_micron' .*vit_micro"):
        with_inherited([f"init_from={run}"], CONF)
    run_of({**renamed, "dataset": 3})
    with pytest.raises(ConfigError, match=r"config.dataset holds 3; it may hold a table"):
        with_inherited([f"init_from={run}"], CONF)
