"""Whole fine-tunings of several labels and of numbers: train, validate, test, go on, evaluate, predict, export."""

import csv
import json

import keras
import numpy as np
import pytest
from configured import SMALL_RUN, configured_finetuning

import mae
from mae.checkpoints.run_state import read_checkpoint
from mae.data.rendered.shapes import CLASS_NAMES
from mae.errors import ConfigError
from mae.finetuning.evaluate import evaluate
from mae.finetuning.run import finetune
from mae.monitoring.metrics import read_metrics
from mae.predict import PredictConfig, predict

NOT_OURS = ("evaluate_every", "model.decoder", "dataset.videos")
SMALL = (
    *(override for override in SMALL_RUN if not override.startswith(NOT_OURS)),
    *("dataset=csv", "dataset.frame_stride=1", "model=vit_tiny", "recipe=demo", "precision=float32", "steps=2"),
    *("eval_batch_size=4", "test.clips=1", "validate_every=null", "learning_rate=1", "model.positions=sincos"),
)
FILES = [f"{name}/{name}_0000.avi" for name in CLASS_NAMES]


def write_lists(folder, lines, header):
    for name, part in (("train", lines[:8]), ("val", lines[8:])):
        (folder / f"{name}.csv").write_text("\n".join([header, *part]))


def settings(shapes, folder, *overrides):
    lists = (f"dataset.root={shapes}", f"dataset.train={folder / 'train.csv'}", f"dataset.val={folder / 'val.csv'}")
    return configured_finetuning(*SMALL, *lists, f"run_dir={folder / 'run'}", *overrides)


def predictions(folder):
    with (folder / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


def test_several_labels(shapes, tmp_path):
    lines = [f"{path},{'move' if n % 2 else ''}{';' if not n % 6 else ''}" for n, path in enumerate(FILES)]
    lines = [line.replace(",;", ",turn;grow") for line in lines]
    write_lists(tmp_path, lines, "path,label")
    finetune(settings(shapes, tmp_path, "task=multilabel", "class_balance=weights", "mixing.mixup=0.8"))
    run = tmp_path / "run"
    record = read_metrics(run / "metrics.jsonl")[-1]
    content = json.loads((run / "test.json").read_text())
    assert content["task"] == "multilabel"
    assert record["val_mAP"] == pytest.approx(content["mAP"], abs=1e-6)
    assert list(content["per_label"]) == ["grow", "move", "turn"]
    assert read_checkpoint(run / "checkpoints" / "best.npz").meta["best"] == {"mAP": record["val_mAP"], "step": 2}
    evaluate(settings(shapes, tmp_path, "task=multilabel", "mode=eval"))
    assert json.loads((run / "test.json").read_text()) == content
    with pytest.raises(ConfigError, match=r"the head of .*run.* is for task=multilabel, not for task=regression"):
        evaluate(settings(shapes, tmp_path, "task=regression", "mode=eval"))
    video = f"{shapes}/{FILES[8]}"
    (made,) = predict(PredictConfig(checkpoint=str(run), video=video, clips=1), lambda line: None)
    expected = predictions(run)[0]
    assert {name for _, name, _ in made.top} == {"grow", "move", "turn"}
    for _, name, probability in made.top:
        assert probability == pytest.approx(float(expected[f"probability of {name}"]), abs=1e-5)


@pytest.fixture(scope="module")
def numbers(shapes, tmp_path_factory):
    """A run that learns two numbers, far from zero, of columns of its list."""
    folder = tmp_path_factory.mktemp("numbers")
    write_lists(folder, [f"{path},{1000 + n},{n * n},p{n}" for n, path in enumerate(FILES)], "path,EF,ESV,group")
    finetune(settings(shapes, folder, "task=regression", "dataset.targets=[EF,ESV]", "ema_decay=0.5"))
    return folder


def test_numbers(shapes, numbers, tmp_path):
    run = numbers / "run"
    content, rows = json.loads((run / "test.json").read_text()), predictions(run)
    said = np.array([[float(row[f"predicted {name}"]) for name in ("EF", "ESV")] for row in rows])
    true = np.array([[1000 + n, n * n] for n in range(8, 12)])
    assert [[float(row[name]) for name in ("EF", "ESV")] for row in rows] == true.tolist()
    assert content["mae"] == pytest.approx(np.abs(said - true).mean(), rel=1e-4)
    assert abs(said[:, 0] - 1003.5).max() < 20  # the mean that was trained on, and not zero
    meta = read_checkpoint(run / "checkpoints" / "step_00000002.npz").meta
    train = np.array([[1000 + n, n * n] for n in range(8)])
    assert meta["target_scale"] == {"mean": train.mean(0).tolist(), "std": pytest.approx(train.std(0).tolist())}
    evaluate(settings(shapes, numbers, "task=regression", "dataset.targets=[EF,ESV]", "mode=eval"))
    assert json.loads((run / "test.json").read_text())["mae"] == pytest.approx(content["mae"], rel=1e-4)
    output = tmp_path / "said.csv"
    video = f"{shapes}/{FILES[8]}"
    (made,) = predict(PredictConfig(checkpoint=str(run), video=video, clips=1, output=str(output)), lambda line: None)
    assert dict(made.numbers) == {"EF": pytest.approx(said[0, 0], rel=1e-5), "ESV": pytest.approx(said[0, 1], rel=1e-4)}
    with output.open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["EF", "ESV"]


def test_a_model_of_numbers_says_them_wherever_it_goes(numbers, tmp_path):
    model = mae.from_pretrained(numbers / "run")
    assert (model.card.task, model.card.class_names) == ("regression", ("EF", "ESV"))
    videos = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), "uint8")
    expected = np.asarray(model(videos))
    assert expected[:, 0].min() > 900
    mae.save_pretrained(model, tmp_path / "model.keras")
    mae.save_checkpoint(model, tmp_path / "folder", "huggingface", dict(enumerate(model.card.class_names)))
    mae.save_checkpoint(model, tmp_path / "model.h5", "keras_h5")
    for name in ("model.keras", "folder", "model.h5"):
        again = mae.from_pretrained(tmp_path / name, num_heads=2)
        assert again.card.task == "regression"
        np.testing.assert_allclose(np.asarray(again(videos)), expected, rtol=1e-5)
    assert json.loads((tmp_path / "folder" / "config.json").read_text())["problem_type"] == "regression"
    assert keras.models.load_model(tmp_path / "model.keras").task == "regression"
    other = model.new_head(2, task="classification")
    with pytest.raises(ConfigError, match=r"is for task=regression, that of the model for task=classification"):
        mae.load_checkpoint(tmp_path / "model.keras", other)


def test_a_run_goes_on_from_the_head_of_another(shapes, numbers, tmp_path):
    """In the unit of its own list: nothing of what is known is lost, whatever the mean there."""
    write_lists(tmp_path, [f"{path},{500 + 3 * n},{n}" for n, path in enumerate(FILES)], "path,EF,ESV")
    own = ("task=regression", "dataset.targets=[EF,ESV]", f"init_from={numbers / 'run'}")
    finetune(settings(shapes, tmp_path, *own, "steps=1", "warmup_steps=1", "learning_rate=0", "min_learning_rate=0"))
    before, after = (predictions(folder / "run") for folder in (numbers, tmp_path))
    for one, other in zip(before, after, strict=True):
        assert float(other["predicted EF"]) == pytest.approx(float(one["predicted EF"]), rel=1e-5)
    write_lists(tmp_path, [f"{path},{n % 2};2" for n, path in enumerate(FILES)], "path,label")
    other = settings(shapes, tmp_path, "task=multilabel", f"init_from={numbers / 'run'}", f"run_dir={tmp_path}/x")
    with pytest.raises(ConfigError, match=r"is for task=regression, not for task=multilabel; fresh_head=true starts"):
        finetune(other)


def test_balanced_classes(shapes, tmp_path):
    """A sampler needs no more than the labels; weights are in the loss alone."""
    write_lists(tmp_path, [f"{path},{'few' if n % 4 == 0 else 'many'}" for n, path in enumerate(FILES)], "path,label")
    finetune(settings(shapes, tmp_path, "class_balance=sampler", "report=false"))
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["trivial_loss"] == pytest.approx(np.log(2), abs=0.02)
    content = json.loads((tmp_path / "run" / "test.json").read_text())
    assert set(content["precision_per_class"]) == {"few", "many"}
