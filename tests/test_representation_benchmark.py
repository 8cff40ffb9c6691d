"""The benchmark of pre-training: its commands are valid ones, what is done is not done again, its table adds up."""

import importlib.util
import json
import sys
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


def test_every_run_is_a_valid_command_in_a_folder_of_its_own(benchmark, tmp_path):
    runs = [run for chain in benchmark.chains(tmp_path) for run in chain]
    assert len({run.name for run in runs}) == len(runs)
    for run in runs:
        compose = configured if run.command == "pretrain.py" else configured_finetuning
        config = compose("dataset=shapes_dark", *run.settings)
        assert config.model.preset == "vit_micro"
        if run.result.startswith("checkpoints/"):
            assert run.result.endswith(f"{config.steps:08d}.npz")


def test_few_label_runs_differ_in_their_start_alone(benchmark):
    """Same schedule, labels and seed; the layer decay, which keeps early layers as they are, is off from scratch."""
    finetuned = configured_finetuning("dataset=shapes_dark", *benchmark.classifier("a", "somewhere", 1).settings)
    scratch = configured_finetuning("dataset=shapes_dark", *benchmark.classifier("b", None, 1).settings)
    assert finetuned.optimizer.layer_decay == 0.75
    assert scratch.optimizer.layer_decay is None
    assert finetuned.init_from == "somewhere"
    assert scratch.init_from is None
    for name in ("dataset", "steps", "batch_size", "learning_rate", "warmup_steps", "augment", "mixing", "seed"):
        assert getattr(finetuned, name) == getattr(scratch, name)


def test_a_run_whose_result_is_there_is_not_started(benchmark, tmp_path):
    run = benchmark.Run("done", "no_such_command.py", (), "test.json")
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "test.json").write_text("{}")
    assert benchmark.execute(run, tmp_path) == 0
    with pytest.raises(SystemExit, match=r"missing ended with status 2: see .*missing\.log"):
        benchmark.execute(benchmark.Run("missing", "no_such_command.py", (), "test.json"), tmp_path)


def test_tables_hold_means_deviations_and_differences(benchmark, tmp_path):
    def write(name, file, content):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(json.dumps(content))

    def probes(attentive):
        return {"probes": {"attentive": {"top1": attentive}, "linear": {"top1": 0.2}, "knn": {"top1": 0.1}}}

    for seed, (before, after, scratch, finetuned) in enumerate(
        [(0.1, 0.4, 0.2, 0.6), (0.2, 0.6, 0.3, 0.7), (0.3, 0.8, 0.4, 0.8)]
    ):
        write(f"probe-initial-{seed}", "probe.json", probes(before))
        write(f"probe-pretrained-{seed}", "probe.json", probes(after))
        write(f"scratch-{seed}", "test.json", {"top1": scratch})
        write(f"finetuned-{seed}", "test.json", {"top1": finetuned})
    write("scratch-all-0", "test.json", {"top1": 0.9})
    for number, (masking, ratio) in enumerate(benchmark.MASKS):
        write(f"probe-{masking}-{ratio}-0", "probe.json", probes(0.5 + number / 10))

    table = benchmark.tables(tmp_path)
    assert "| pre-trained | 60.0 ± 20.0 | 20.0 ± 0.0 | 10.0 ± 0.0 | 70.0 ± 10.0 |" in table
    assert "| not pre-trained | 20.0 ± 10.0 | 20.0 ± 0.0 | 10.0 ± 0.0 | 30.0 ± 10.0 |" in table
    assert "Attentive probe: +40.0 points. Whole model: +40.0 points." in table
    assert "From scratch on all 500 labels a class, longer: 90.0." in table
    assert "| tube 0.5 | 50.0 | 20.0 | 10.0 |" in table
    assert "| random 0.9 | 90.0 | 20.0 | 10.0 |" in table
