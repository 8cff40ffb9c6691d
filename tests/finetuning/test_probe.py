"""Whole probes of frozen encoders on written videos: bright and dark noise, which any encoder tells apart."""

import json
import os
import signal
from dataclasses import asdict, replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from configured import configured_finetuning
from omegaconf import OmegaConf
from written_videos import write_video

from mae.checkpoints.run_state import Checkpoints, variables_to_arrays
from mae.checkpoints.save import save_checkpoint
from mae.data.clips import ClipReader
from mae.errors import ConfigError, Interrupted
from mae.evaluation.probes import frozen_features
from mae.evaluation.probes.feature_cache import FeatureCache
from mae.evaluation.probes.looked_at import LOOKED_AT, LookedAt
from mae.evaluation.trained import random_encoder
from mae.finetuning.probe import probe
from mae.models.classifier import Classifier
from mae.patches import normalise, patchify
from mae.presets import PRESETS

SIZES = {"image_size": 16, "num_frames": 4, "embed_dim": 24, "depth": 1, "num_heads": 2}
SMALL = (
    *("mode=probe", "dataset=folder", "dataset.frame_stride=1", "model=vit_tiny", "eval_batch_size=4"),
    *(f"model.{name}={value}" for name, value in SIZES.items()),
    *("probe.linear_steps=20", "probe.linear_epochs=1", "probe.attentive_steps=40", "probe.attentive_epochs=1"),
    *("probe.attentive_learning_rate=0.01", "probe.neighbours=3", "report=false"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Twelve videos to train on and six to test on, of two classes, and a probe of all kinds on them."""
    root = tmp_path_factory.mktemp("probe")
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 3)):
        for name, level in (("bright", 150), ("dark", 50)):
            for number in range(count):
                frames = rng.integers(level - 50, level + 50, (5, 16, 16, 3)).astype("uint8")
                write_video(root / part / name / f"{number}.avi", frames)
    indices = (f"dataset.root={root / 'train'}", f"dataset.val={root / 'val'}")
    probe(configured_finetuning(*SMALL, *indices, "init_from=random", f"run_dir={root / 'run'}", "report=true"))
    return SimpleNamespace(root=root, run=root / "run", indices=indices, content=content_of(root / "run"))


@pytest.fixture
def command(files, tmp_path):
    """The typed settings of a small probe, in a run directory of its own."""

    def settings(*overrides):
        return configured_finetuning(
            *SMALL, *files.indices, "init_from=random", f"run_dir={tmp_path / 'run'}", *overrides
        )

    return settings


def content_of(run):
    return json.loads((run / "probe.json").read_text())


def stored(run):
    """The features in a run directory: {(what, videos): array}."""
    found = {}
    for folder in (run / "features").iterdir():
        told = json.loads((folder / "identity.json").read_text())
        found[told["of"], told["videos"]] = np.load(folder / "features.npy")
    return found


def test_a_probe_leaves_its_figures_and_its_features(files):
    content = files.content
    assert list(content["probes"]) == ["linear", "attentive", "knn"]
    for kind, shares in content["probes"].items():
        assert (shares["top1"], shares["top1_of_evaluated"], shares["mean_class_accuracy"]) == (1, 1, 1), kind
    assert content["top1_of_one_class"] == 0.5
    assert content["videos"] == {"listed": 6, "evaluated": 6, "failed": 0}
    assert content["training"]["videos"] == {"listed": 12, "labels_per_class": None, "used": 12, "failed": 0}
    assert 1 <= content["feature_rank"] <= 6
    assert content["clip"] == {"num_frames": 4, "frame_stride": 1, "image_size": 16, "sampler": "dense"}
    features = stored(files.run)
    # A clip of 4 × 16 × 16 pixels is 2 × 2 × 2 tubelets of 2 × 8 × 8.
    assert features["tokens", 12].shape == (12, 8, 24)
    assert features["tokens", 6].dtype == np.float16
    assert features["pooled: mean", 6].dtype == np.float32
    np.testing.assert_allclose(features["tokens", 12].mean(1), features["pooled: mean", 12], atol=2e-3)


def test_a_probe_leaves_what_a_report_is_made_of_and_the_report(files):
    looked_at = LookedAt.read(files.run / LOOKED_AT)
    np.testing.assert_array_equal(looked_at.features, stored(files.run)["pooled: mean", 6])
    assert [looked_at.label_of(index) for index in range(6)] == ["bright"] * 3 + ["dark"] * 3
    assert all(os.path.exists(video) for video in looked_at.videos)
    text = (files.run / "report.html").read_text()
    assert text.count("<figure") == 30  # five of the six clips with their five others
    assert "cannot be read" not in text


def test_a_second_probe_computes_no_features(files, monkeypatch, capsys):
    def refuse(*_):
        raise AssertionError("a video is read again")

    monkeypatch.setattr(ClipReader, "center_clip", refuse)
    run = f"run_dir={files.run}"
    others = ("probe.kinds=[knn]", "probe.labels_per_class=2", "probe.seeds=2", "probe.neighbours=1")
    probe(configured_finetuning(*SMALL, *files.indices, "init_from=random", run, *others))
    out = capsys.readouterr().out
    assert "features of 6 videos found in" in out
    assert "knn" in out
    content = content_of(files.run)
    assert content["training"]["videos"]["used"] == 4
    assert content["probes"]["knn"]["top1_of_each"] == [1, 1]


def test_the_settings_of_a_training_stay_and_those_of_probes_are_kept_one_after_the_other(command, tmp_path):
    knn = "probe.kinds=[knn]"
    run = tmp_path / "run"
    for neighbours in (3, 3, 2):
        probe(command(knn, f"probe.neighbours={neighbours}"))
    noted = {path.name: OmegaConf.load(path).probe.neighbours for path in run.glob("config*.yaml")}
    assert noted == {"config.yaml": 3, "config.2.yaml": 2}

    # A training that was stopped before its first checkpoint.
    training = tmp_path / "training"
    training.mkdir()
    settings = "mode: train\nepochs: 3\nwandb:\n  mode: probe\n"
    (training / "config.yaml").write_text(settings)
    probe(command(knn, f"run_dir={training}"))
    assert {path.name: path.read_text() for path in training.glob("config*.yaml")} == {"config.yaml": settings}


def test_a_checkpoint_with_the_same_encoder_has_the_same_features(command, tmp_path):
    """A released format, which tells nothing of frames, pixels and heads: those come from `model.`."""
    probe(command("probe.kinds=[knn]", "model.positions=sincos", f"run_dir={tmp_path / 'random'}"))
    trained = random_encoder(replace(PRESETS["vit_tiny"], **SIZES, positions="sincos"), 0, "float32", 1)
    save_checkpoint(trained.model, tmp_path / "pretrained.h5", "keras_h5")
    probe(command(f"init_from={tmp_path / 'pretrained.h5'}", "probe.kinds=[knn]"))
    made, expected = stored(tmp_path / "run"), stored(tmp_path / "random")
    assert len(made) == len(expected) == 2
    for key, features in made.items():
        np.testing.assert_allclose(features, expected[key], atol=1e-5, err_msg=str(key))
    hashes = [content_of(tmp_path / name)["checkpoint_hash"] for name in ("run", "random")]
    assert hashes[0] != hashes[1]
    assert hashes[1] == trained.checksum


def write_run(folder, sampler):
    """A run directory of an encoder with random weights that was trained on clips of a sampler."""
    model = random_encoder(replace(PRESETS["vit_tiny"], **SIZES), 0, "float32", 1).model
    meta = {"step": 1, "architecture": asdict(model.architecture), "config": {"data": {"sampler": sampler}}}
    Checkpoints(folder / "checkpoints", keep=1).save(variables_to_arrays(model.variables), meta)
    return model


def test_a_clip_is_of_the_kind_that_the_encoder_was_trained_on(files, command, tmp_path):
    """Of 5 frames the 4 from the first on, or the mid-points ⌊(2i + 1) · 5 / 8⌋ of 4 segments."""
    model = write_run(tmp_path / "pretrained", "tsn_segments")
    capture = cv2.VideoCapture(str(files.root / "val" / "bright" / "0.avi"))
    video = np.stack([capture.read()[1][..., ::-1] for _ in range(5)])
    expected = {}
    for kind, frames in (("dense", [0, 1, 2, 3]), ("segments", [0, 1, 3, 4])):
        clip = normalise(video[frames][None].astype("f4") / 255, 3)
        expected[kind] = np.asarray(model.encoder(patchify(clip, (2, 8, 8)))).mean(axis=1)[0]
    assert np.abs(expected["dense"] - expected["segments"]).max() > 1e-3
    clips = {"dense": "center: 4 frames, stride 1, 16 pixels", "segments": "segments: 4 frames, 16 pixels"}
    released = tmp_path / "released.h5"
    save_checkpoint(model, released, "keras_h5")
    for number, (kind, *overrides) in enumerate([
        ("segments", f"init_from={tmp_path / 'pretrained'}", "data.sampler=dense_stride"),
        ("dense", f"init_from={tmp_path / 'pretrained'}", "probe.sampler=dense"),
        ("segments", f"init_from={released}", "data.sampler=tsn_segments"),
        ("dense", f"init_from={released}", "data.sampler=videomae_dense"),
    ]):  # fmt: skip
        place = tmp_path / f"run{number}"
        probe(command(*overrides, "probe.kinds=[knn]", f"run_dir={place}"))
        np.testing.assert_allclose(stored(place)["pooled: mean", 6][0], expected[kind], atol=1e-4, err_msg=overrides[0])
        assert content_of(place)["clip"]["sampler"] == kind
        identities = [json.loads(path.read_text()) for path in (place / "features").rglob("identity.json")]
        assert {told["clip"] for told in identities} == {clips[kind]}


def test_a_fine_tuned_encoder_is_pooled_as_its_head_does_it(command, tmp_path):
    model = Classifier(replace(PRESETS["vit_tiny"], **SIZES, positions="sincos"), 5, pooling="first", name="classifier")
    model.build()
    save_checkpoint(model, tmp_path / "tuned", "huggingface")
    probe(
        command(
            f"init_from={tmp_path / 'tuned'}",
            "probe.kinds=[attentive]",
            "probe.token_dtype=float32",
            "probe.attentive_steps=1",
        )
    )
    features = stored(tmp_path / "run")
    np.testing.assert_array_equal(features["pooled: first", 6], features["tokens", 6][:, 0])


def test_another_seed_is_another_random_encoder(files, command, tmp_path):
    probe(command("seed=1", "probe.kinds=[knn]"))
    mine, other = stored(tmp_path / "run"), stored(files.run)
    assert set(mine) == {("pooled: mean", 12), ("pooled: mean", 6)}
    assert np.abs(mine["pooled: mean", 6] - other["pooled: mean", 6]).max() > 0.1
    assert content_of(tmp_path / "run")["checkpoint_hash"] != files.content["checkpoint_hash"]


def test_replicas_compute_the_same_features(files, command, tmp_path):
    probe(command("strategy=mirrored", "eval_batch_size=1", "probe.kinds=[attentive]", "probe.attentive_steps=1"))
    mine, other = stored(tmp_path / "run"), stored(files.run)
    for key, features in mine.items():
        np.testing.assert_allclose(features, other[key], atol=2e-3, err_msg=str(key))


def test_unreadable_videos_are_left_out_of_the_training_and_count_as_wrong_in_the_test(files, tmp_path, capsys):
    lines = {
        part: [f"{path},{label}" for label, name in enumerate(("bright", "dark"))
               for path in sorted((files.root / part / name).iterdir())]
        for part in ("train", "val")
    }  # fmt: skip
    (tmp_path / "broken.avi").write_text("no video")
    for part in lines:
        (tmp_path / f"{part}.csv").write_text("\n".join([*lines[part], f"{tmp_path / 'broken.avi'},1"]))
    lists = ("dataset=csv", f"dataset.train={tmp_path / 'train.csv'}", f"dataset.val={tmp_path / 'val.csv'}")
    settings = (*SMALL, *lists, "dataset.frame_stride=1", "probe.kinds=[knn]", "init_from=random")
    probe(configured_finetuning(*settings, f"run_dir={tmp_path / 'run'}"))
    content = content_of(tmp_path / "run")
    assert content["videos"] == {"listed": 7, "evaluated": 6, "failed": 1}
    assert content["training"]["videos"] == {"listed": 13, "labels_per_class": None, "used": 12, "failed": 1}
    shares = content["probes"]["knn"]
    assert (shares["top1"], shares["top1_of_evaluated"]) == (pytest.approx(6 / 7), 1)
    for part in ("training", "test"):
        ((path, reason),) = content["failed"][part].items()
        assert path == str(tmp_path / "broken.avi")
        assert reason
    assert "1 FAILED and counted as wrong" in capsys.readouterr().out
    # Once it is repaired it counts.
    (tmp_path / "broken.avi").write_bytes((files.root / "train" / "dark" / "0.avi").read_bytes())
    probe(configured_finetuning(*settings, f"run_dir={tmp_path / 'run'}"))
    assert content_of(tmp_path / "run")["videos"] == {"listed": 7, "evaluated": 7, "failed": 0}
    assert content_of(tmp_path / "run")["failed"] == {"training": {}, "test": {}}


def test_an_interrupted_probe_goes_on(files, command, tmp_path, monkeypatch):
    put = FeatureCache.put
    with monkeypatch.context() as patch:

        def put_and_kill(self, *row):
            put(self, *row)
            if row[0] == 7:
                os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(FeatureCache, "put", put_and_kill)
        with pytest.raises(Interrupted, match="interrupted after 8 of 12 videos; the same command goes on"):
            probe(command("probe.kinds=[knn]"))
    assert not (tmp_path / "run" / "probe.json").exists()
    read, clip = [], ClipReader.center_clip

    def noted(self, example):
        read.append(len(self.index.paths))
        return clip(self, example)

    monkeypatch.setattr(ClipReader, "center_clip", noted)
    probe(command("probe.kinds=[knn]"))
    assert (read.count(12), read.count(6)) == (4, 6)
    for key, features in stored(tmp_path / "run").items():
        np.testing.assert_array_equal(features, stored(files.run)[key])


def test_what_a_probe_refuses(files, command, tmp_path, monkeypatch):
    def refusal(*overrides):
        with pytest.raises(ConfigError) as error:
            probe(command(*overrides))
        return str(error.value)

    assert "no checkpoint at nowhere" in refusal("init_from=nowhere")
    assert "has no list to test on: give dataset.val=" in refusal("dataset.val=null")
    assert "num_classes=3, and the training list names 2 classes" in refusal("num_classes=3")
    (tmp_path / "other" / "checkpoints").mkdir(parents=True)
    assert "is a run of its own and random none of its checkpoints" in refusal(f"run_dir={tmp_path / 'other'}")
    classes = tmp_path / "classes" / "no_such"
    classes.mkdir(parents=True)
    (classes / "a.avi").write_bytes(b"")
    assert "no_such" in refusal(f"dataset.val={classes.parent}")
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(frozen_features.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    # 12 videos of 24 × 4 + 8 × 24 × 2 bytes are 5760.
    message = refusal()
    assert message.startswith("features of 12 videos take 5.76 kB, and ")
    assert "leave attentive out" in message
