"""Run directories that an earlier version wrote go on as they went on then."""

import shutil
from pathlib import Path

import pytest
from begun_runs import only_begun
from configured import configured, configured_finetuning

from mae.checkpoints.run_state import read_checkpoint
from mae.errors import ConfigError
from mae.finetuning.run import finetune
from mae.monitoring.metrics import read_metrics
from mae.pretraining.run import pretrain

OLD_RUNS = Path(__file__).parent / "old_runs"
TINY = (
    *("dataset.videos_per_class=1", "dataset.frame_stride=2", "model.image_size=16", "model.num_frames=4"),
    *("model.patch_size=4", "model.embed_dim=12", "model.depth=2", "model.num_heads=2", "model.drop_path_rate=0.1"),
    *("batch_size=4", "steps=6", "warmup_steps=2", "log_every=1", "checkpoint_every=2", "ema_decay=0.9"),
    *("precision=float32", "wandb.mode=disabled"),
)


@pytest.fixture
def old_run(tmp_path):
    """A copy of an old run directory, and the losses that followed its checkpoint when it was written."""

    def copy(name):
        directory = Path(shutil.copytree(OLD_RUNS / name, tmp_path / name))
        records = read_metrics(directory / "metrics.jsonl")
        return directory, [record["loss"] for record in records if record["step"] > 4]

    return copy


def losses_after(directory, step):
    return [record["loss"] for record in read_metrics(directory / "metrics.jsonl") if record["step"] > step]


def test_a_pretraining_of_version_0_1_goes_on(old_run, shapes, capsys):
    directory, expected = old_run("pretrain")
    decoder = ("model.decoder_embed_dim=12", "model.decoder_depth=1", "model.decoder_num_heads=2")
    pretrain(configured(*TINY, *decoder, "evaluate_every=null", f"dataset.root={shapes}", f"run_dir={directory}"))
    assert f"resumed from {directory}/checkpoints/step_00000004.npz, 4 steps made" in capsys.readouterr().out
    # Another processor adds up in another order.
    assert losses_after(directory, 4) == pytest.approx(expected, rel=1e-4)


def test_a_finetuning_of_version_0_1_goes_on_and_is_tested(old_run, shapes, capsys):
    directory, expected = old_run("finetune")
    settings = ("dataset.val_videos_per_class=1", "optimizer.layer_decay=0.75", "validate_every=null")
    finetune(configured_finetuning(*TINY, *settings, f"dataset.root={shapes}", f"run_dir={directory}"))
    assert f"resumed from {directory}/checkpoints/step_00000004.npz, 4 steps made" in capsys.readouterr().out
    assert losses_after(directory, 4) == pytest.approx(expected, rel=1e-4)
    assert (directory / "test.json").exists()


def test_a_finetuning_whose_batch_counted_clips_goes_on_with_the_settings_it_is_told(old_run, shapes, capsys):
    """Its batch_size=4 were two clips of two videos each, at a rate scaled by 4 / 256."""
    directory, expected = old_run("finetune_repeats")

    def go_on(*more):
        settings = ("dataset.val_videos_per_class=1", "optimizer.layer_decay=0.75", "validate_every=null")
        indices = ("data.clips_per_video=2", f"dataset.root={shapes}", f"run_dir={directory}")
        finetune(configured_finetuning(*TINY, *settings, *indices, *more))

    told = "batch_size=2 learning_rate=0.032 min_learning_rate=0.00032"
    with pytest.raises(ConfigError) as error:
        go_on()
    assert str(error.value) == (
        f"{directory}/checkpoints/step_00000004.npz is from before batch_size counted videos: its batch_size=4 are "
        f"clips, 2 of each video; to go on with the same updates give {told}"
    )
    assert read_checkpoint(directory / "checkpoints" / "step_00000004.npz").step == 4
    go_on(*told.split())
    said = capsys.readouterr().out
    assert f"resumed from {directory}/checkpoints/step_00000004.npz, 4 steps made" in said
    assert "changed since: learning_rate" not in said
    assert "changed since: batch_size" not in said
    assert losses_after(directory, 4) == pytest.approx(expected, rel=1e-4)
    # What it has written since counts videos.
    assert read_checkpoint(directory / "checkpoints" / "step_00000006.npz").meta["batch_counts"] == "videos"
    with only_begun():
        go_on(*told.split(), "steps=7")
    assert "changed since: steps: 6 → 7" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="batch_size: 2 → 4"):
        go_on()
