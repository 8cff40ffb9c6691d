"""Whole runs on rendered videos: what they leave behind, how they stop and how they go on."""

import json
import os
import signal
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest
from configured import SMALL_RUN, configured
from PIL import Image
from pretraining_runs import losses, model_of, probed, weights

from mae.checkpoints.load import load_checkpoint
from mae.checkpoints.metadata import Training
from mae.checkpoints.read import read_weights
from mae.checkpoints.run_state import read_checkpoint
from mae.checkpoints.save import save_checkpoint
from mae.errors import ConfigError, Interrupted, TrainingStopped
from mae.evaluation.trained import load_pretrainer
from mae.models.norms import set_norm_epsilons
from mae.monitoring.metrics import read_metrics
from mae.pretraining.run import pretrain
from mae.target_config import Target
from mae.training.journal import Journal

CONTRACT = {
    *("step", "epoch", "loss", "learning_rate", "weight_decay", "grad_norm", "clips_per_second"),
    *("step_ms", "data_wait_ms", "compute_ms", "host_ms", "data_wait_fraction", "decode_ms", "bad_clips"),
    *("short_clips", "skipped_steps", "eta_s", "param_norm", "trivial_loss", "loss_ratio", "host_memory_gb"),
}


def test_a_run_leaves_what_the_contract_says(whole):
    assert {path.name for path in whole.iterdir()} == {
        *(".lock", "config.yaml", "commands.txt", "metrics.jsonl", "checkpoints", "reconstructions"),
        "next_commands.txt",
    }
    records = read_metrics(whole / "metrics.jsonl")
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert all(record.keys() >= CONTRACT for record in records)
    assert {"fixed_batch_loss", "psnr"} <= records[-1].keys()
    assert records[0]["eta_s"] is None  # the compiler's time says nothing about the rest
    assert records[1]["clips_per_second"] > 0
    assert {"model_flops_per_second", "decoders_busy"} <= records[1].keys()
    assert "model_flops_share" not in records[1]  # of so few steps the devices are not measured
    for record in records:
        parts = record["data_wait_ms"] + record["compute_ms"] + record["host_ms"]
        assert parts == pytest.approx(record["step_ms"])
        assert record["loss_ratio"] == pytest.approx(record["loss"] / record["trivial_loss"])
        assert record["trivial_loss"] == pytest.approx(1, abs=0.02)  # the variance of normalised targets
    assert records[-1]["epoch"] == 2
    assert [path.name for path in sorted((whole / "checkpoints").iterdir())] == [
        f"step_{step:08d}.npz" for step in (2, 4, 6)
    ]
    picture = cv2.imread(str(whole / "reconstructions" / "step_00000006.png"))
    assert picture.shape[1] > 400
    with Image.open(whole / "reconstructions" / "step_00000006.gif") as moving:
        assert moving.n_frames == 4


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(whole, run, monkeypatch):
    log = Journal.log

    def log_and_kill(self, record):
        log(self, record)
        if record["step"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "log", log_and_kill)
        with pytest.raises(Interrupted, match="interrupted after step 3; its state is saved") as stop:
            run()
    assert stop.value.signum == signal.SIGTERM
    directory = run()
    assert losses(directory) == losses(whole)
    expected = weights(whole, 6)
    for name, value in weights(directory, 6).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.usefixtures("two_devices")
def test_replicas_make_the_same_run(whole, run):
    directory = run("strategy=mirrored", "probe.every=4")
    for made, expected in zip(losses(directory), losses(whole), strict=True):
        assert made == pytest.approx(expected, rel=1e-4)
    assert [step for step, *_ in probed(directory)] == [0, 4, 6]


def test_a_probe_changes_nothing(whole, run, capsys):
    """That it says the same after an interruption, too, is tested in tests/training/test_faults.py."""
    directory = run("probe.every=2", "probe.clips=48")
    said = capsys.readouterr().out
    assert "every 2 steps: 12 clips of 12 classes: k-NN top-1 (chance 8.3 %), feature rank and std" in said
    figures = probed(directory)
    assert [step for step, *_ in figures] == [0, 2, 4, 6]
    assert len({rank for _, _, rank, _ in figures}) == 4  # of other weights each time
    first, last = (f"{100 * figures[index][1]:.1f} % at step" for index in (0, -1))
    assert f"k-NN top-1 of 12 clips: {first} 0 → {last} 6 (chance 8.3 %: 1 of 12 classes)" in said
    assert losses(directory) == losses(whole)
    for name, value in weights(directory, 6).items():
        np.testing.assert_array_equal(value, weights(whole, 6)[name], err_msg=name)


def test_weights_tell_what_they_predict_and_lose_as_much_in_another_run(run, begin, tmp_path, capsys):
    told = ("target=difference", "target_scale=patch", "target_pixels=0.25", "loss_weight=motion", "mask_motion=hide")
    told = (*told, "data.motion_candidates=2")
    directory = run(*told, "steps=2")
    said = capsys.readouterr().out
    assert "difference and pixels 0.25, scaled by patch, weighted by motion" in said
    assert "stride 1, 32×32 pixels, the one of 2 that moves most" in said
    assert "(realised 0.7500); 50 % of what is masked is what moves most" in said
    assert "of the trivial predictor, which always says that nothing moves" in said
    target = Target("difference", "patch", 0.25, "motion")
    assert load_pretrainer(directory, Training(), "float32", {}).training.predicted == target
    last = read_metrics(directory / "metrics.jsonl")[-1]
    loss = last["fixed_batch_loss"]
    assert f"that move: {last['fixed_batch_loss_moving']:.4f}, " in said
    assert f"that stand still: {last['fixed_batch_loss_still']:.4f}, " in said
    with pytest.raises(ConfigError, match="target_scale: patch → clip"):
        run(*told, "steps=4", "target_scale=clip")
    begin(*told, f"init_from={directory}", f"run_dir={tmp_path / 'next'}")
    assert f"loss {loss:.4f}, expected {loss:.4f} (from {directory}/checkpoints/" in capsys.readouterr().out
    begin(*told, "target_scale=clip", f"init_from={directory}", f"run_dir={tmp_path / 'other'}")
    assert "expected" not in capsys.readouterr().out


def test_the_same_few_clips_at_every_step(run, shapes, capsys):
    """Nothing is learnt at a rate of 0, so a loss is that of the clips: always the same one."""
    rates = ("learning_rate=0", "min_learning_rate=0", "augment.crop=random_resized")
    rates += ("model.depth=2", "model.drop_path_rate=0.5")
    directory = run("overfit_clips=3", "decoder_mask_ratio=0.5", "steps=4", *rates)
    found = [loss for _, loss, _ in losses(directory)]
    assert found == pytest.approx([found[0]] * 4, rel=1e-6)
    # Those that are looked at are those that are trained on, under the same masks, but all of their hidden tokens.
    said = capsys.readouterr().out
    assert "3 = 3 clips × 1 replicas" in said
    assert "3 videos, the same clip and mask of each at every visit" in said
    assert f"overfit 3 clips: loss {found[0]:.4f} → {found[0]:.4f} (step 1 → 4, 100 % of the first); it should" in said
    with pytest.raises(ConfigError, match="overfit_clips: 3 → None"):
        run("decoder_mask_ratio=0.5", "steps=4", *rates)
    with pytest.raises(ConfigError, match="overfit_clips=13 is more than the 12 videos of the list: give 12 or fewer"):
        run("overfit_clips=13", "run_dir=/nowhere")


def test_a_named_checkpoint_only_starts_a_run_that_has_none(whole, shapes, tmp_path):
    """The same command again goes on with the run's own; another way from inside a run is another run."""
    directory, common = tmp_path / "branch", (*SMALL_RUN, f"dataset.root={shapes}")
    named = whole / "checkpoints" / "step_00000004.npz"
    pretrain(configured(*common, f"run_dir={directory}", f"resume={named}"))
    assert losses(directory) == losses(whole)[4:]
    pretrain(configured(*common, f"run_dir={directory}", f"resume={named}", "steps=8"))
    assert [step for step, *_ in losses(directory)] == [5, 6, 7, 8]
    with pytest.raises(ConfigError, match="goes on to step 6 after step_00000004"):
        pretrain(configured(*common, f"run_dir={whole}", f"resume={named}"))
    with pytest.raises(ConfigError, match=r"mask_ratio: 0\.75 → 0\.5"):
        pretrain(configured(*common, f"run_dir={tmp_path / 'new'}", f"resume={named}", "mask_ratio=0.5"))
    assert not (tmp_path / "new").exists()


def test_a_loss_that_is_not_finite_stops_before_the_update(run, tmp_path):
    with pytest.raises(TrainingStopped, match=r"is (nan|inf) at step \d; no update was made with it"):
        run("learning_rate=1e22", "min_learning_rate=1e22", "warmup_steps=2", "checkpoint_every=1")
    kept = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert kept
    assert all(np.isfinite(value).all() for value in read_checkpoint(kept[-1]).arrays.values())


def test_init_from_starts_at_the_loss_the_weights_have(whole, released, run, capsys):
    directory = run(f"init_from={released}", "steps=2")
    first = read_metrics(directory / "metrics.jsonl")[0]
    assert first["step"] == 0
    # Six steps of the same model on the same clips end where this begins.
    assert first["fixed_batch_loss"] == pytest.approx(
        read_metrics(whole / "metrics.jsonl")[-1]["fixed_batch_loss"], rel=1e-5
    )
    said = capsys.readouterr().out
    assert "PyTorch" in said
    # The file tells nothing of these clips, as a released one.
    assert f"fixed batch right after loading: loss {first['fixed_batch_loss']:.4f}\n" in said
    assert "expected_fixed_batch_loss" not in first
    assert [record["step"] for record in read_metrics(directory / "metrics.jsonl")] == [0, 1, 2]
    # The weights are the file's, trained further, and so is their licence.
    assert read_weights(directory).training.licence == "CC-BY-NC-4.0"


def test_the_loss_that_the_weights_had_on_the_same_fixed_batch_is_expected(whole, begin, tmp_path, capsys):
    lost = read_metrics(whole / "metrics.jsonl")[-1]["fixed_batch_loss"]
    expected = f"loss {lost:.4f}, expected {lost:.4f} (from {whole}/checkpoints/step_00000006.npz)\n"

    def begun(name, init_from, *overrides):
        begin(f"run_dir={tmp_path / name}", f"init_from={init_from}", *overrides)
        return read_metrics(tmp_path / name / "metrics.jsonl")[0], capsys.readouterr().out

    first, said = begun("same", whole)
    assert first["expected_fixed_batch_loss"] == lost
    assert f"fixed batch right after loading: {expected}" in said
    assert "they differ" not in said

    # Other masks: nothing is known of the batch.
    first, said = begun("other_masks", whole, "seed=5")
    assert "expected" not in said
    assert "expected_fixed_batch_loss" not in first

    # Another shape: what they lose there stands beside what they lost in their own, on the same clips and masks.
    first, said = begun("other_shape", whole, "model.image_size=[16,24]", "model.patch_size=4", "model.tubelet_size=1")
    assert first["fixed_batch_loss_in_own_shape"] == pytest.approx(lost, rel=1e-5)
    change = 100 * (first["fixed_batch_loss"] / lost - 1)
    assert (
        f"loss {lost:.4f}; the change of shape makes it {abs(change):.1f} % {'more' if change > 0 else 'less'}" in said
    )
    assert "weights are interpolated" in said
    assert "expected_fixed_batch_loss" not in first

    # Weights that are not those that the loss was measured with.
    report = load_checkpoint(whole, model := model_of(whole))
    assert report.training.fixed_batch_loss == lost
    model.decoder.head.kernel.assign(model.decoder.head.kernel * 2 + 0.1)
    save_checkpoint(model, tmp_path / "changed.pth", "pytorch", training=report.training)
    first, said = begun("changed", tmp_path / "changed.pth")
    off = 100 * abs(first["fixed_batch_loss"] - lost) / lost
    assert off > 1
    assert f"NOTE: they differ by {off:.0f} %: either the weights in the file are not those that it tells of" in said


def test_a_run_keeps_the_epsilon_its_weights_were_trained_with(whole, shapes, tmp_path):
    model = model_of(whole)
    set_norm_epsilons(model, replace(model.architecture, layer_norm_epsilon=1e-3, head_norm_epsilon=1e-2))
    model.save(tmp_path / "weights.keras")
    common = (*SMALL_RUN, f"dataset.root={shapes}", f"init_from={tmp_path / 'weights.keras'}", "steps=4")
    pretrain(configured(*common, f"run_dir={tmp_path / 'whole'}"))
    assert model_of(tmp_path / "whole").decoder.norm.epsilon == 1e-2
    second = tmp_path / "whole" / "checkpoints" / "step_00000002.npz"
    pretrain(configured(*common, f"run_dir={tmp_path / 'rest'}", f"resume={second}"))
    assert losses(tmp_path / "rest") == losses(tmp_path / "whole")[2:]


def test_the_average_of_the_weights_is_what_is_evaluated_and_exported(run, begin, tmp_path, capsys):
    directory = run("steps=4", "ema_decay=0.5")
    held = weights(directory, 4)
    model = model_of(directory)
    for variable in model.trainable_variables:
        np.testing.assert_array_equal(variable.numpy(), held[f"ema/{variable.path}"])
        assert not variable.path.endswith("kernel") or (variable.numpy() != held[variable.path]).any()
    begin(f"init_from={directory}", "ema_decay=0.9", f"run_dir={tmp_path / 'next'}")
    assert "run of this project, moving average of the weights, pretrainer" in capsys.readouterr().out
    first = read_metrics(tmp_path / "next" / "metrics.jsonl")[0]["fixed_batch_loss"]
    assert first == pytest.approx(read_metrics(directory / "metrics.jsonl")[-1]["fixed_batch_loss"], rel=1e-6)


def test_the_config_is_in_every_checkpoint(whole):
    meta = read_checkpoint(whole / "checkpoints" / "step_00000006.npz").meta
    assert meta["config"]["mask_ratio"] == 0.75
    assert json.loads(json.dumps(meta)) == meta
    assert set(meta["versions"]) == {keras.config.backend(), "keras", "numpy", "mae-video"}
