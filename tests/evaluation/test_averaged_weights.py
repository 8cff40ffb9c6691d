"""Everything that uses a run which keeps a moving average of its weights computes with the average.

The runs are two of an earlier version, see their README; what is expected is called by hand, of a model that the
average was assigned to weight by weight.
"""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from configured import configured_finetuning
from whole_clips import crop_clip

from mae.checkpoints.run_state import read_checkpoint
from mae.cli.arguments import command_config
from mae.convert import run as convert
from mae.data.transforms.crops import view_crops
from mae.evaluation.trained import load_classifier, load_encoder
from mae.extract import ExtractConfig, extract
from mae.finetuning.evaluate import evaluate
from mae.finetuning.probe import probe
from mae.models.classifier import Classifier
from mae.models.pretrainer import Pretrainer
from mae.patches import normalise, patchify
from mae.predict import PredictConfig, predict
from mae.presets import Architecture

RUNS = Path(__file__).parents[1] / "training" / "old_runs"  # ema_decay=0.9, stride 2, 4 frames of 16 × 16, patches of 4
CHECKPOINTS = {kind: RUNS / kind / "checkpoints" / "step_00000004.npz" for kind in ("pretrain", "finetune")}


def held(kind, prefix):
    """A model of a run, and the arrays of its checkpoint that begin with `prefix` as its weights."""
    checkpoint = read_checkpoint(CHECKPOINTS[kind])
    architecture = Architecture(**checkpoint.meta["architecture"])
    if kind == "pretrain":
        model = Pretrainer(architecture, name="pretrainer")
    else:
        model = Classifier(architecture, 12, name="classifier")
    model.build()
    for variable in model.trainable_variables:
        variable.assign(checkpoint.arrays[f"{prefix}{variable.path}"])
    return model


@pytest.fixture(scope="module")
def video(shapes):
    """A video of the demo and its clip in the middle: of n frames from ⌊(n − 8) / 2⌋ on, every other one.

    It is the clip of a test too, whose start is even, where n is a multiple of 4.
    """
    path = sorted(Path(shapes).rglob("*.avi"))[0]
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    frames = np.stack(frames)
    assert len(frames) % 4 == 0
    start = (len(frames) - 8) // 2
    clip = crop_clip(frames, view_crops(*frames.shape[1:3], (16, 16), 1)[0])[start : start + 8 : 2]
    return path, normalise(clip[None].astype("f4") / 255, 3)


def features_by_hand(model, clip):
    return np.asarray(model.encoder(patchify(clip, (2, 4, 4)))).mean(axis=1)[0]


def probabilities_by_hand(model, clip):
    logits = np.asarray(model(clip), "f8")[0]
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def test_extract(video, tmp_path):
    path, clip = video
    pairs = {"checkpoint": RUNS / "pretrain", "video": path, "output": tmp_path}
    extract(command_config(ExtractConfig, [f"{key}={value}" for key, value in pairs.items()]), lambda _: None)
    with np.load(tmp_path / f"{path.name}.npz", allow_pickle=False) as archive:
        made, told = archive["features"][0], json.loads(str(archive["metadata"]))
    np.testing.assert_allclose(made, features_by_hand(held("pretrain", "ema/"), clip), atol=1e-5)
    assert np.abs(made - features_by_hand(held("pretrain", ""), clip)).max() > 1e-4
    assert (told["frame_stride"], told["sampler"]) == (2, "dense")


def test_predict(video):
    path, clip = video
    pairs = {"checkpoint": RUNS / "finetune", "video": path, "clips": 1, "top": 12}
    (made,) = predict(command_config(PredictConfig, [f"{key}={value}" for key, value in pairs.items()]), lambda _: None)
    shares = {number: probability for number, _, probability in made.top}
    averaged, last = (probabilities_by_hand(held("finetune", prefix), clip) for prefix in ("ema/", ""))
    np.testing.assert_allclose([shares[number] for number in range(12)], averaged, atol=1e-6)
    assert np.abs(averaged - last).max() > 1e-5
    assert {name for _, name, _ in made.top} >= {"circle_clockwise", "shrink"}


@pytest.mark.parametrize("kind", ["pretrain", "finetune"])
@pytest.mark.parametrize("to", ["pytorch", "keras_h5", "keras", "savedmodel"])
def test_convert(kind, to, tmp_path):
    path = tmp_path / {"pytorch": "x.pth", "keras_h5": "x.h5", "keras": "x.keras", "savedmodel": "x"}[to]
    assert "moving average of the weights" in convert([str(RUNS / kind), str(path), f"to={to}"])
    trained = load_encoder(path, None, "float32", {})
    expected = held(kind, "ema/").encoder.trainable_variables
    for variable, other in zip(trained.model.encoder.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable, other, atol=1e-7, err_msg=variable.path)
    assert (trained.frame_stride, trained.sampler, trained.assumed) == (2, "dense", ())
    if kind == "finetune":
        assert load_classifier(path, None, None, "float32", {}).class_names[0] == "circle_clockwise"


def settings(path, *overrides):
    """Of a test or a probe on one video of one class, which is its training list too."""
    folder = path.parents[1]
    lists = ("dataset=folder", f"dataset.root={folder}", f"dataset.val={folder}", "dataset.frame_stride=2")
    return configured_finetuning("wandb.mode=disabled", "eval_batch_size=1", "strategy=single", *lists, *overrides)


@pytest.fixture
def one_of_two(video, tmp_path):
    """The video in a folder of two classes of the run, once in each."""
    path, _ = video
    for name in ("circle_clockwise", "shrink"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        shutil.copy(path, tmp_path / "videos" / name / "a.avi")
    return tmp_path / "videos" / "shrink" / "a.avi"


def test_the_test(video, one_of_two, tmp_path):
    overrides = ("mode=eval", "test.clips=1", "test.crops=1", f"init_from={RUNS / 'finetune'}")
    evaluate(settings(one_of_two, *overrides, f"run_dir={tmp_path / 'eval'}"))
    with (tmp_path / "eval" / "predictions.csv").open() as file:
        share = float(list(csv.reader(file))[1][3])
    averaged, last = (probabilities_by_hand(held("finetune", prefix), video[1]) for prefix in ("ema/", ""))
    assert share == pytest.approx(averaged.max(), abs=2e-6)
    assert abs(share - last.max()) > 1e-5


def test_the_probe(video, one_of_two, tmp_path):
    overrides = ("mode=probe", "probe.kinds=[knn]", "probe.neighbours=1", f"init_from={RUNS / 'pretrain'}")
    probe(settings(one_of_two, *overrides, f"run_dir={tmp_path / 'probe'}"))
    made = np.load(next((tmp_path / "probe" / "features").rglob("features.npy")))
    averaged, last = (features_by_hand(held("pretrain", prefix), video[1]) for prefix in ("ema/", ""))
    np.testing.assert_allclose(made[0], averaged, atol=1e-5)
    assert np.abs(made[0] - last).max() > 1e-4
