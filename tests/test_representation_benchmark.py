"""The benchmark of pre-training: its commands are valid ones, what is done is not done again, its tables add up."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.configured import configured, configured_finetuning

PATH = Path(__file__).parents[1] / "benchmarks" / "representation.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("representation", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["representation"] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def plan(benchmark, tmp_path):
    """Builds what `python benchmarks/representation.py <words>` runs, in a folder of the test's."""

    def build(*words):
        return benchmark.planned(benchmark.parse([f"--folder={tmp_path}", *words]))

    return build


def settings_of(run):
    compose = configured if run.command == "pretrain.py" else configured_finetuning
    return compose(*run.settings)


def test_every_run_is_a_valid_command_in_a_place_of_its_own(benchmark, plan):
    rows = [*benchmark.ROWS, "longer: steps=3000", "sines: model.positions=sincos target=pixels"]
    plans = plan("--rows", *rows, "--all-labels", "--seeds", "1", "--datasets", "motion_order")
    runs = [run for chain in benchmark.chains(plans) for run in chain]
    assert len({run.place for run in runs}) == len(runs)
    for run in runs:
        config = settings_of(run)
        assert config.model.preset == "vit_micro"
        assert config.dataset.name == run.place.parent.name
        if run.result.startswith("checkpoints/"):
            assert run.result.endswith(f"{config.steps:08d}.npz")
    assert settings_of(next(run for run in runs if run.place.name == "pretrain-longer-3500-1")).steps == 3000


def test_by_default_three_sets_and_seeds_are_pre_trained_on_or_not(benchmark, plan):
    made = benchmark.chains(plan())
    assert len(made) == 18
    assert [len(chain) for chain in made] == [3] * 9 + [2] * 9
    longest_first = [chain[0].command for chain in made]
    assert longest_first == ["pretrain.py"] * 9 + ["finetune.py"] * 9
    assert all(len(chain) < 3 for chain in benchmark.chains(plan("--probes-only")))


def test_few_label_runs_differ_in_their_start_alone(benchmark, plan):
    """Same schedule, labels and seed; the layer decay, which keeps early layers as they are, is off from scratch."""
    runs = {
        run.place.name: run
        for chain in benchmark.chains(plan("--seeds", "1", "--datasets", "shapes_dark"))
        for run in chain
    }
    finetuned = settings_of(runs["whole-pre-trained-3500-1"])
    scratch = settings_of(runs["whole-not-pre-trained-1"])
    assert finetuned.optimizer.layer_decay == 0.75
    assert scratch.optimizer.layer_decay is None
    assert finetuned.init_from == str(runs["pretrain-pre-trained-3500-1"].place)
    assert scratch.init_from is None
    for name in ("steps", "batch_size", "learning_rate", "warmup_steps", "augment", "mixing", "seed"):
        assert getattr(finetuned, name) == getattr(scratch, name)
    assert finetuned.dataset == replace(scratch.dataset, name=finetuned.dataset.name)


def test_a_row_that_changes_the_encoder_is_compared_with_its_like(benchmark, plan):
    rows = ["deep: model.decoder_depth=2", "sines: model.positions=sincos target=pixels"]
    made = benchmark.chains(plan("--rows", *rows, "--seeds", "0", "--datasets", "motion_camera"))
    runs = {run.place.name: run for chain in made for run in chain}
    assert settings_of(runs["pretrain-sines-3500-0"]).target == "pixels"
    for name in ("probe-sines-3500-0", "whole-sines-3500-0", "probe-not-pre-trained-as-sines-0"):
        assert settings_of(runs[name]).model.positions == "sincos"
    assert settings_of(runs["pretrain-deep-3500-0"]).model.decoder_depth == 2
    assert settings_of(runs["probe-not-pre-trained-0"]).model == settings_of(runs["probe-deep-3500-0"]).model
    assert "probe-not-pre-trained-as-deep-0" not in runs


def test_a_run_whose_result_is_there_is_not_started_and_one_of_other_settings_refused(benchmark, tmp_path):
    run = benchmark.Run(tmp_path / "done", "no_such_command.py", (), "test.json")
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "test.json").write_text("{}")
    assert benchmark.execute(run) == 0
    missing = replace(run, place=tmp_path / "missing")
    with pytest.raises(SystemExit, match=r"missing ended with status 2: see .*missing\.log"):
        benchmark.execute(missing)
    with pytest.raises(SystemExit, match=r"was made by no_such_command\.py, not by no_such_command\.py seed=1"):
        benchmark.execute(replace(missing, settings=("seed=1",)))


def test_tables_hold_means_deviations_and_differences(benchmark, plan, capsys):
    plan = plan("--datasets", "shapes_dark", "--rows", "pre-trained", "published", "--all-labels")

    def write(what, name, seed, content):
        place = benchmark.place_of(plan, "shapes_dark", what, name, seed)
        place.mkdir(parents=True)
        (place / ("probe.json" if what == "probe" else "test.json")).write_text(json.dumps(content))

    figures = {
        "not pre-trained": [(0.1, 0.2), (0.2, 0.3), (0.3, 0.4)],
        "pre-trained": [(0.4, 0.6), (0.6, 0.7), (0.8, 0.8)],
        "published": [(0.5, 0.2), (0.5, 0.2), (0.5, 0.2)],
    }
    for name, pairs in figures.items():
        for seed, (attentive, whole) in enumerate(pairs):
            kinds = {"attentive": {"top1": attentive}, "linear": {"top1": 0.2}, "knn": {"top1": 0.1}}
            write("probe", name, seed, {"probes": kinds})
            write("whole", name, seed, {"top1": whole})
    write("whole", "from scratch on all labels", 0, {"top1": 0.9})
    for told in benchmark.told_of(plan):
        told.write_text(json.dumps({"command": [], "seconds": 60, "cpu_seconds": 30}))

    result = plan.folder / "result.json"
    result.write_text(json.dumps(benchmark.collect(plan)))
    benchmark.main(benchmark.parse(["--show", str(result)]))
    table = capsys.readouterr().out
    assert "| shapes_dark: top-1 %, 50 labels a class | attentive probe | gain |" in table
    assert "| pre-trained | 60.0 ± 20.0 | +40.0 | 20.0 ± 0.0 | 10.0 ± 0.0 | 70.0 ± 10.0 | +40.0 |" in table
    assert "| published | 50.0 ± 0.0 | +30.0 | 20.0 ± 0.0 | 10.0 ± 0.0 | 20.0 ± 0.0 | -10.0 |" in table
    assert "| not pre-trained | 20.0 ± 10.0 |  | 20.0 ± 0.0 | 10.0 ± 0.0 | 30.0 ± 10.0 |  |" in table
    assert "| from scratch on all labels |  |  |  |  | 90.0 |  |" in table
    # One of all labels, three times three and two rows of three, a minute each and half a one of its core.
    assert "\n25.0 minutes of runs on one core each, 12.5 of its time" in table


def test_rows_that_are_none_are_refused(benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark.parse(["--rows", "pixel"])
    assert "no row 'pixel'; there are pre-trained, published" in capsys.readouterr().err
