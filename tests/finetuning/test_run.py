"""Whole fine-tunings on rendered videos: pre-train, hand over, fine-tune, test; how they stop and what they refuse."""

import csv
import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from begun_runs import only_begun
from configured import SMALL_RUN, configured, configured_finetuning
from written_videos import write_video

from mae.checkpoints.load import load_checkpoint
from mae.checkpoints.run_state import read_checkpoint
from mae.checkpoints.save import save_checkpoint
from mae.data.clips import ClipReader
from mae.data.config import ShapesDataset
from mae.data.rendered.render import ensure_rendered
from mae.data.rendered.shapes import CLASS_NAMES
from mae.errors import ConfigError, Interrupted
from mae.evaluation.multi_view import scores
from mae.evaluation.trained import load_classifier
from mae.finetuning.evaluate import evaluate
from mae.finetuning.probe import probe
from mae.finetuning.run import finetune
from mae.models.classifier import build_classifier
from mae.monitoring.metrics import read_metrics
from mae.pretraining.run import pretrain
from mae.training.journal import Journal

NOT_OURS = ("evaluate_every", "model.decoder", "dataset.videos")
SMALL = (
    *(override for override in SMALL_RUN if not override.startswith(NOT_OURS)),
    *(
        "dataset.videos_per_class=1",
        "dataset.val_videos_per_class=1",
        "validate_every=0.5",
        "eval_batch_size=5",
        "batch_size=2",
        "data.clips_per_video=2",
    ),
    # Everything random is on.
    *("mixing.mixup=0.8", "mixing.cutmix=1", "augment.rand_augment=rand-m7-n4-mstd0.5-inc1"),
    *(
        "augment.erase_probability=0.5",
        "model.depth=2",
        "model.drop_path_rate=0.2",
        "head_dropout_rate=0.2",
        "learning_rate=0.2",
    ),
)
SIZES = {"image_size": 32, "num_frames": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The rendered videos and a pre-training run on them, shared by all tests."""
    root = tmp_path_factory.mktemp("finetune")
    shapes = root / "shapes"
    config = ShapesDataset(
        "shapes",
        1,
        str(shapes),
        videos_per_class=1,
        seed=0,
        val_videos_per_class=1,
        classes="all",
        background="ramp",
    )
    for held_out in (False, True):
        ensure_rendered(config, held_out=held_out)
    pretrain(configured(*SMALL_RUN, "model.depth=2", f"dataset.root={shapes}", f"run_dir={root / 'pretrained'}"))
    return SimpleNamespace(root=root, shapes=shapes, pretrained=root / "pretrained", whole=root / "whole")


@pytest.fixture(scope="module")
def command(files):
    """The typed settings of a small run on these videos, with overrides."""

    def settings(*overrides):
        places = (f"dataset.root={files.shapes}", f"run_dir={files.whole}", f"init_from={files.pretrained}")
        return configured_finetuning(*SMALL, *places, *overrides)

    return settings


@pytest.fixture(scope="module")
def whole(files, command):
    """A run that nothing interrupted."""
    finetune(command())
    return files.whole


def weights(directory, step=6):
    return read_checkpoint(directory / "checkpoints" / f"step_{step:08d}.npz").arrays


def losses(directory):
    names = ("step", "loss", "grad_norm", "val_top1")
    return [[record.get(name) for name in names] for record in read_metrics(directory / "metrics.jsonl")]


def test_a_run_leaves_checkpoints_validations_and_a_test(whole, files):
    records = read_metrics(whole / "metrics.jsonl")
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    # Two videos are one step: an epoch of twelve has six of them, half of one three.
    validated = {record["step"]: record["val_top1"] for record in records if "val_top1" in record}
    assert list(validated) == [3, 6]
    assert all("val_top5" in record for record in records if record["step"] in validated)
    names = sorted(path.name for path in (whole / "checkpoints").iterdir())
    assert names == ["best.npz", "step_00000002.npz", "step_00000004.npz", "step_00000006.npz"]
    best = read_checkpoint(whole / "checkpoints" / "best.npz")
    assert best.meta["best"] == {"top1": max(validated.values()), "step": max(validated, key=validated.get)}
    assert best.step == best.meta["best"]["step"]

    content = json.loads((whole / "test.json").read_text())
    assert content["videos"] == {"listed": 12, "evaluated": 12, "failed": 0}
    assert content["views"] == {"clips": 2, "crops": 1}
    assert list(content["per_class"]) == list(CLASS_NAMES)
    assert content["checkpoint"].endswith("step_00000006.npz")
    with (whole / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == list(CLASS_NAMES)
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert content["top1"] == pytest.approx(right / 12)
    assert (whole / "confusion.png").stat().st_size > 0
    assert not list(whole.glob("test_scores*"))


def test_the_encoder_is_that_of_the_pre_training(files, command, tmp_path):
    """Frozen as a whole it is still the same after six steps, bit for bit; the head is not the one it started with."""
    finetune(command("freeze=encoder", f"run_dir={tmp_path / 'run'}", "head_dropout_rate=0", "steps=3"))
    before, after = weights(files.pretrained), weights(tmp_path / "run", 3)
    encoder = [name for name in after if name.startswith("classifier/encoder/")]
    assert len(encoder) > 20
    for name in encoder:
        np.testing.assert_array_equal(after[name], before[name.replace("classifier/", "pretrainer/", 1)], err_msg=name)
    assert np.abs(after["classifier/head/kernel"]).max() > 1e-3


def test_a_run_that_is_interrupted_twice_goes_on_as_if_nothing_had_happened(whole, command, tmp_path, monkeypatch):
    """A validation that is given up is made up for: which weights are the best does not hang on the signal."""
    settings = command(f"run_dir={tmp_path / 'run'}")
    log, add = Journal.log, scores.ViewScores.add
    computed = []

    def log_and_kill(self, record):
        log(self, record)
        if record["step"] == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def add_and_kill(self, videos, *others):
        add(self, videos, *others)
        computed.extend(videos)
        os.kill(os.getpid(), signal.SIGTERM)

    for (where, name, killing), step in (
        ((Journal, "log", log_and_kill), 2),
        ((scores.ViewScores, "add", add_and_kill), 3),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, killing)
            with pytest.raises(Interrupted, match=f"interrupted after step {step}"):
                finetune(settings)
    assert len(computed) == 5  # of twelve: one batch
    finetune(settings)
    assert losses(tmp_path / "run") == losses(whole)
    expected = weights(whole)
    for name, value in weights(tmp_path / "run").items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    made, wanted = (json.loads((place / "test.json").read_text()) for place in (tmp_path / "run", whole))
    assert made["top1"] == wanted["top1"]
    best = [read_checkpoint(place / "checkpoints" / "best.npz").meta["best"] for place in (tmp_path / "run", whole)]
    assert best[0] == best[1]


def test_an_evaluation_is_the_test_of_the_run_again_and_again(whole, command, tmp_path):
    expected = json.loads((whole / "test.json").read_text())
    predictions = (whole / "predictions.csv").read_text()
    for _ in range(2):
        evaluate(command("mode=eval", f"init_from={whole}", f"run_dir={tmp_path / 'eval'}"))
        assert json.loads((tmp_path / "eval" / "test.json").read_text()) == expected
        assert (tmp_path / "eval" / "predictions.csv").read_text() == predictions


@pytest.mark.usefixtures("two_devices")
def test_replicas_train_on_the_same_mixtures(command, tmp_path):
    """Head dropout is off: each replica draws its own. Computing blocks again changes nothing either."""
    made = []
    for strategy, remat in (("single", "none"), ("mirrored", "blocks")):
        where = (f"run_dir={tmp_path / strategy}", f"strategy={strategy}", f"remat={remat}")
        finetune(command(*where, "batch_size=8", "steps=3", "head_dropout_rate=0"))
        made.append(np.array(losses(tmp_path / strategy), float)[:, :3])
        checkpoint = read_checkpoint(tmp_path / strategy / "checkpoints" / "step_00000003.npz")
        assert checkpoint.meta["architecture"]["remat"] == remat
    np.testing.assert_allclose(made[0], made[1], rtol=1e-4)


@pytest.mark.usefixtures("two_devices")
def test_replicas_evaluate_the_same(whole, command, tmp_path):
    evaluate(command("mode=eval", f"init_from={whole}", f"run_dir={tmp_path / 'eval'}", "strategy=mirrored"))
    assert (tmp_path / "eval" / "predictions.csv").read_text() == (whole / "predictions.csv").read_text()


def test_an_interrupted_test_goes_on(whole, command, tmp_path, monkeypatch):
    settings = command("mode=eval", f"init_from={whole}", f"run_dir={tmp_path / 'eval'}")
    read = []
    clips = ClipReader.test_clips

    def noted(self, example, views):
        read.append(example)
        return clips(self, example, views)

    monkeypatch.setattr(ClipReader, "test_clips", noted)
    add = scores.ViewScores.add
    with monkeypatch.context() as patch:

        def add_and_kill(self, *batch):
            add(self, *batch)
            os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(scores.ViewScores, "add", add_and_kill)
        with pytest.raises(Interrupted, match="interrupted after 5 of 24 views; the same command goes on"):
            evaluate(settings)
    assert not (tmp_path / "eval" / "test.json").exists()
    read.clear()
    evaluate(settings)
    assert 0 not in read  # its two views were among the first five
    assert (tmp_path / "eval" / "predictions.csv").read_text() == (whole / "predictions.csv").read_text()


def test_best_and_last_are_read_by_the_other_commands(whole):
    for path in (whole, whole / "checkpoints" / "best.npz"):
        trained = load_classifier(path, None, None, "float32", {})
        assert trained.class_names == CLASS_NAMES
        model = build_classifier("vit_tiny", 12, **SIZES)
        report = load_checkpoint(path, model)
        assert not report.fresh_head
        assert report.id2label == dict(enumerate(CLASS_NAMES))


def test_a_released_file_with_a_head_is_evaluated_and_an_unreadable_video_counts_as_wrong(command, files, tmp_path):
    model = build_classifier("vit_tiny", 12, **SIZES, positions="sincos")
    save_checkpoint(model, tmp_path / "ft.h5", "keras_h5")
    listed = [f"{name}/{name}_0000.avi" for name in CLASS_NAMES]
    lines = [f"{files.root / 'shapes-val' / path},{label}" for label, path in enumerate(listed)]
    (tmp_path / "broken.avi").write_text("no video")
    (tmp_path / "val.csv").write_text("\n".join([*lines, f"{tmp_path / 'broken.avi'},3", f"{tmp_path / 'gone.avi'},4"]))
    sizes = [f"model.{name}={SIZES[name]}" for name in ("image_size", "num_frames", "num_heads")]
    overrides = ["mode=eval", "dataset=csv", f"dataset.val={tmp_path / 'val.csv'}", "dataset.frame_stride=1", *sizes]
    shared = ("wandb.mode=disabled", "eval_batch_size=5", "test.clips=1", "test.crops=1", f"run_dir={tmp_path / 'out'}")
    evaluate(configured_finetuning(*overrides, *shared, f"init_from={tmp_path / 'ft.h5'}"))
    content = json.loads((tmp_path / "out" / "test.json").read_text())
    assert content["videos"] == {"listed": 14, "evaluated": 12, "failed": 2}
    assert content["top1"] == pytest.approx(content["top1_of_evaluated"] * 12 / 14)
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok"] * 12 + ["failed"] * 2
    assert all(row["reason"] for row in rows[12:])


def test_what_an_evaluation_refuses(command, files, whole, tmp_path):
    def refusal(*overrides):
        with pytest.raises(ConfigError) as error:
            evaluate(command("mode=eval", *overrides))
        return str(error.value)

    place = f"run_dir={tmp_path / 'eval'}"
    assert "holds no trained classification head" in refusal(place)  # init_from is the pre-training
    assert "is a run of its own" in refusal(f"init_from={files.pretrained}")
    assert "mode=eval tests init_from or the run in run_dir" in refusal("init_from=null", place)
    classes = tmp_path / "other" / "no_such_motion"
    classes.mkdir(parents=True)
    (classes / "a.avi").write_bytes(b"")
    other = (f"dataset.val={classes.parent}", f"init_from={whole}", place, "wandb.mode=disabled")
    with pytest.raises(ConfigError, match=r"the class 'no_such_motion' of .* is unknown to"):
        evaluate(configured_finetuning("mode=eval", "dataset=folder", *other))
    (tmp_path / "val.csv").write_text("a.avi,12\n")
    (tmp_path / "a.avi").write_bytes(b"")
    other = (f"dataset.val={tmp_path / 'val.csv'}", f"init_from={whole}", place, "wandb.mode=disabled")
    with pytest.raises(ConfigError, match=r"has label 12, and .* has the 12 classes 0 … 11"):
        evaluate(configured_finetuning("mode=eval", "dataset=csv", *other))
    assert not (tmp_path / "eval").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["num_classes=11"], "has label 11, and num_classes=11 has the 11 classes"),
        (["num_classes=13"], "num_classes=13, and the training list names 12 classes"),
        (["init_from=nowhere"], "no checkpoint at nowhere"),
        (
            ["mixing.mixup=1", "batch_size=3"],
            "batch_size=3 videos .* cannot be mixed in pairs .*: give a multiple of 2",
        ),
        (["model.depth=3"], "has depth 2, and model=vit_tiny has depth 3: give model.depth=2"),
        (["model.embed_dim=32"], "has embed_dim 24, and model=vit_tiny has embed_dim 32: give model.embed_dim=24"),
        (["resume=never", "run_dir={whole}"], "already holds a run"),
        (["run_dir={whole}", "freeze=encoder", "steps=8"], "belongs to a run with other settings .*freeze"),
        (["run_dir={whole}", "data.resize=stretch", "steps=8"], "other settings .*data.resize: crop → stretch"),
        (["run_dir={pretrained}"], "init_from=.* is this run itself|other settings"),
    ],
)
def test_what_a_run_refuses(command, files, whole, tmp_path, overrides, message):
    overrides = [override.format(whole=whole, pretrained=files.pretrained) for override in overrides]
    with pytest.raises(ConfigError, match=message):
        finetune(command(f"run_dir={tmp_path / 'run'}", *overrides))
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(("mode", "run"), [("train", finetune), ("eval", evaluate), ("probe", probe)])
def test_a_checkpoint_that_is_not_there_is_refused_before_videos_are_rendered(mode, run, tmp_path):
    places = (f"dataset.root={tmp_path / 'shapes'}", f"run_dir={tmp_path / 'run'}", f"init_from={tmp_path / 'none'}")
    with pytest.raises(ConfigError, match=r"no checkpoint at .*none"):
        run(configured_finetuning(*SMALL, *places, f"mode={mode}"))
    assert list(tmp_path.iterdir()) == []


def test_a_head_of_other_classes_is_refused_unless_a_fresh_one_is_asked_for(command, tmp_path, capsys):
    renamed = tmp_path / "other"
    model = build_classifier("vit_tiny", 12, **SIZES, positions="sincos")
    save_checkpoint(model, renamed, "huggingface", {number: f"class {number}" for number in range(12)})
    settings = (f"init_from={renamed}", f"run_dir={tmp_path / 'run'}", "model.positions=sincos")
    with pytest.raises(ConfigError, match="differ from the list's from class 0 on: 'class 0' and 'circle_clockwise'"):
        finetune(command(*settings))
    capsys.readouterr()
    with only_begun():
        finetune(command(*settings, "fresh_head=true"))
    said = capsys.readouterr().out
    assert "head/kernel" in said.split("FRESH: ")[1].split("; dropped: ")[0]
    assert len(said.splitlines()) <= 25


def test_what_can_be_told_apart_is_learnt(tmp_path):
    """Bright and dark noise in other videos than those trained on: after twenty steps all are right."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 3)):
        for name, level in (("bright", 150), ("dark", 50)):
            for number in range(count):
                frames = rng.integers(level - 50, level + 50, (6, 32, 32, 3)).astype("uint8")
                write_video(tmp_path / part / name / f"{number}.avi", frames)
    folders = (f"dataset.root={tmp_path / 'train'}", f"dataset.val={tmp_path / 'val'}", "dataset.frame_stride=1")
    small = (*(override for override in SMALL_RUN if not override.startswith(NOT_OURS)), f"run_dir={tmp_path / 'run'}")
    recipe = ("recipe=demo", "model=vit_tiny", "steps=20", "learning_rate=0.3")
    finetune(configured_finetuning("dataset=folder", *folders, *small, *recipe))
    content = json.loads((tmp_path / "run" / "test.json").read_text())
    assert (content["top1"], content["per_class"]) == (1, {"bright": 1, "dark": 1})
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["loss"] < 0.5


def test_a_few_clips_are_learnt_by_heart(command, tmp_path, capsys):
    """Twelve classes, five clips of as many of them; everything random of the settings is off."""
    settings = ("overfit_clips=5", "batch_size=4", f"run_dir={tmp_path / 'run'}", "steps=120", "learning_rate=0.3")
    finetune(command(*settings, "log_every=10"))
    said = capsys.readouterr().out
    records = read_metrics(tmp_path / "run" / "metrics.jsonl")
    first, last = records[0], records[-1]
    assert first["loss"] == pytest.approx(np.log(12), rel=0.05)
    assert last["loss"] < 0.2
    assert last["val_top1"] == 1
    assert [record["step"] for record in records if "val_top1" in record] == [120]
    steps = f"step 1 → 120, {100 * last['loss'] / first['loss']:.0f} % of the first"
    assert f"overfit 5 clips: loss {first['loss']:.4f} → {last['loss']:.4f} ({steps}), top-1 on them 100 %\n" in said
    content = json.loads((tmp_path / "run" / "test.json").read_text())
    assert (content["videos"]["listed"], content["top1"]) == (5, 1)
    with pytest.raises(ConfigError, match="overfit_clips=5 is for mode=train: mode=eval trains nothing"):
        command("overfit_clips=5", "mode=eval")


def test_from_scratch_is_said_loudly(command, tmp_path, capsys):
    with only_begun():
        finetune(command("init_from=null", f"run_dir={tmp_path / 'run'}"))
    assert "NOTE: init_from is not set: the encoder starts at random" in capsys.readouterr().out
