"""What is around the steps of a run, whatever engine makes them: videos, refusals, the console, a report, W&B."""

import shutil
from types import SimpleNamespace

import fsspec
import pyarrow
import pytest
from configured import SMALL_RUN, configured
from pretraining_runs import losses, said_by
from pyarrow import parquet
from written_videos import noise_frames, write_video

from mae.checkpoints.run_state import read_checkpoint
from mae.checkpoints.save import save_checkpoint
from mae.errors import ConfigError, TrainingStopped
from mae.models.classifier import build_classifier
from mae.models.pretrainer import build_pretrainer
from mae.monitoring.metrics import read_metrics
from mae.pretraining.command import run
from mae.pretraining.run import pretrain
from mae.training.run_directory import RunDirectory


def test_what_a_run_says(uninterrupted):
    directory, lines = uninterrupted.directory, uninterrupted.said.splitlines()
    assert any("4 = 4 clips × 1 replicas × 1 accumulated" in line for line in lines)
    assert any("tube 0.75: 24 masked, 8 visible (realised 0.7500)" in line for line in lines)
    assert any(line.startswith("step 6/6  loss ") and "data wait" in line and "ETA" in line for line in lines)
    assert any(line.startswith("fixed batch: loss ") and "of the trivial predictor" in line for line in lines)
    assert not [line for line in lines if "W&B" in line or "wandb" in line]  # it is disabled
    assert [line.startswith("step 1/6 ") for line in lines].index(True) <= 25
    assert lines[-5] == f"run: {directory} (pictures in reconstructions/)"
    assert lines[-4] == f"next (also in {directory / 'next_commands.txt'}):"
    assert f" -m mae.reconstruct checkpoint={directory} video=" in lines[-3]
    # Twelve videos, fewer than the recipe's batch.
    assert lines[-2].endswith(f"finetune.py init_from={directory} batch_size=12")
    assert lines[-1].endswith(f"finetune.py mode=probe init_from={directory}")


def test_the_same_command_after_the_end_says_so(whole, capsys):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.npz")}
    pretrain(configured(*SMALL_RUN, f"dataset.root={read_root(whole)}", f"run_dir={whole}"))
    assert "the training is complete: 6 of 6 steps are made" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.npz")} == before


def read_root(directory):
    checkpoint = read_checkpoint(directory / "checkpoints" / "step_00000006.npz")
    return checkpoint.meta["config"]["dataset"]["root"]


@pytest.fixture(scope="module")
def continued(shapes, tmp_path_factory):
    """The directory of a run that was started for three steps, then for six, and what each start said.

    It is probed and leaves a report and an offline run of W&B.
    """
    directory = tmp_path_factory.mktemp("continued") / "run"
    common = ("report=true", "probe.every=3", "wandb.mode=offline", f"dataset.root={shapes}", f"run_dir={directory}")
    return SimpleNamespace(directory=directory, said=[said_by(*common, f"steps={steps}") for steps in (3, 6)])


def test_more_steps_go_on_and_the_change_is_shown(continued):
    assert "changed since: steps: 3 → 6" in continued.said[1]
    assert [step for step, *_ in losses(continued.directory)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.depth=3", "model.depth: 1 → 3"),
        ("mask_ratio=0.5", "mask_ratio: 0.75 → 0.5"),
        ("batch_size=2", "batch_size: 4 → 2"),
        ("optimizer=lion", "optimizer.name: adamw → lion"),
        ("ema_decay=0.9", "ema_decay: None → 0.9"),
        ("resume=never", "already holds a run"),
    ],
)
def test_a_start_that_would_spoil_a_run_is_refused(whole, shapes, override, message):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=message):
        pretrain(configured(*SMALL_RUN, f"dataset.root={shapes}", f"run_dir={whole}", override))
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def own_videos(folder, shapes, bad):
    """Twelve readable videos and `bad` empty ones."""
    shutil.copytree(shapes, folder)
    for i in range(bad):
        (folder / f"bad {i}.mp4").touch()
    overrides = [o for o in SMALL_RUN if not o.startswith("dataset.videos")]
    return [*overrides, "dataset=folder", "recipe=demo", "model=vit_tiny", f"dataset.root={folder}"]


def test_unreadable_videos_are_listed_and_skipped_and_the_list_stays_what_it_was(shapes, tmp_path):
    overrides = own_videos(tmp_path / "videos", shapes, bad=1)
    directory = tmp_path / "run"
    pretrain(configured(*overrides, "steps=9", f"run_dir={directory}", "data.max_bad_frac=0.2"))
    listed = (directory / "bad_videos.csv").read_text().splitlines()
    assert listed[0] == "path,reason"
    assert len(listed) == 2
    assert "bad 0.mp4" in listed[1]
    assert "empty" in listed[1]
    assert read_metrics(directory / "metrics.jsonl")[-1]["bad_clips"] >= 2  # three epochs of twelve out of thirteen

    next((tmp_path / "videos").rglob("*.avi")).unlink()
    with pytest.raises(ConfigError, match="another list of videos than the one found now"):
        pretrain(configured(*overrides, "steps=9", f"run_dir={directory}", "data.max_bad_frac=0.2"))


def test_a_table_and_its_videos_at_addresses(tmp_path, monkeypatch):
    """Through the command, which says where copies go; what is not there is a bad video like any other."""
    monkeypatch.setattr("mae.data.remote.copies._copies", None)
    files = fsspec.filesystem("memory")
    for name in "abcd":
        files.put(write_video(tmp_path / f"{name}.avi", noise_frames(12)), f"/bucket/videos/{name}.avi")
    table = pyarrow.table({"path": [f"videos/{name}.avi" for name in "abcde"], "label": [0, 1, 0, 1, 0]})
    with files.open("/bucket/list.parquet", "wb") as file:
        parquet.write_table(table, file)
    overrides = [override for override in SMALL_RUN if not override.startswith("dataset.videos")]
    overrides += ["dataset=csv", "dataset.train=memory://bucket/list.parquet", "recipe=demo", "model=vit_tiny"]
    overrides += [f"data.remote_cache={tmp_path / 'copies'}", "data.max_bad_frac=0.2", "steps=2", "monitor=[]"]
    try:
        run(configured(*overrides, f"run_dir={tmp_path / 'run'}"))
    finally:
        files.rm("/", recursive=True)
    listed = (tmp_path / "run" / "bad_videos.csv").read_text().splitlines()
    assert listed == ["path,reason", "memory://bucket/videos/e.avi,missing"]
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == 2
    endings = sorted(path.suffix for path in (tmp_path / "copies").glob("*/*") if path.name != "lock")
    assert endings == [*[".avi"] * 4, ".parquet"]


def test_clips_of_videos_too_short_for_them_are_counted(tmp_path):
    """Four frames at stride 2 reach over 7: of four videos, all of which are in every step, one has 5."""
    for name, frames in (("a", 12), ("b", 7), ("c", 5), ("d", 12)):
        write_video(tmp_path / "videos" / f"{name}.avi", noise_frames(frames))
    overrides = [override for override in SMALL_RUN if not override.startswith("dataset.videos")]
    overrides += ["dataset=folder", "recipe=demo", "model=vit_tiny", "dataset.frame_stride=2"]
    overrides += [f"dataset.root={tmp_path / 'videos'}", f"run_dir={tmp_path / 'run'}"]
    for steps in (3, 5):  # the second goes on from the first
        pretrain(configured(*overrides, f"steps={steps}"))
    records = [record for record in read_metrics(tmp_path / "run" / "metrics.jsonl") if record["step"] > 0]
    assert [record["short_clips"] for record in records] == [1, 2, 3, 4, 5]


def test_too_many_unreadable_videos_stop_the_run(shapes, tmp_path):
    overrides = own_videos(tmp_path / "videos", shapes, bad=1)
    with pytest.raises(TrainingStopped, match=r"1 of 13 videos cannot be read, more than data.max_bad_frac=0.01"):
        pretrain(configured(*overrides, "steps=9", f"run_dir={tmp_path / 'run'}"))


def test_no_readable_video_at_all_starts_nothing(tmp_path):
    (tmp_path / "videos").mkdir()
    for i in range(4):
        (tmp_path / "videos" / f"{i}.mp4").write_text("no video")
    overrides = [o for o in SMALL_RUN if not o.startswith("dataset.videos")]
    folder = ("dataset=folder", "recipe=demo", "model=vit_tiny", f"dataset.root={tmp_path / 'videos'}")
    with pytest.raises(ConfigError, match="none of the 4 listed videos can be read"):
        pretrain(configured(*overrides, *folder, f"run_dir={tmp_path / 'run'}"))
    assert not (tmp_path / "run").exists()


def test_a_directory_with_other_things_is_left_alone(run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="neither empty nor a run"):
        run()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_a_run_leaves_a_report_of_all_its_starts(continued):
    directory = continued.directory
    assert f"report: {directory / 'report.html'}" in continued.said[0]
    text = (directory / "report.html").read_text()
    for drawn in ('id="curve-loss-0"', 'id="curve-probe_top1-0"', "after 6 steps", "steps: 3 → 6", 'alt="step 6"'):
        assert drawn in text
    assert len((directory / "commands.txt").read_text().splitlines()) == 2


def test_a_report_that_fails_costs_nothing(run, monkeypatch, capsys):
    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr("mae.report.at_end.write_page", fail)
    directory = run("report=true", "steps=1")
    assert "warning: no report.html (MemoryError: no room); the run itself is complete" in capsys.readouterr().out
    assert (directory / "checkpoints" / "step_00000001.npz").exists()


def test_a_second_process_is_kept_out(run, tmp_path):
    with RunDirectory(tmp_path / "run") as directory:
        directory.note_config({})
        with pytest.raises(ConfigError, match="another process is using"), RunDirectory(tmp_path / "run"):
            pass


def test_a_resumed_run_continues_the_same_wandb_run(continued):
    directory = continued.directory
    first = read_checkpoint(directory / "checkpoints" / "step_00000003.npz").meta["wandb_run_id"]
    second = read_checkpoint(directory / "checkpoints" / "step_00000006.npz").meta["wandb_run_id"]
    assert first == second
    segments = [path.name for path in (directory / "wandb").iterdir() if path.name.startswith("offline-run")]
    assert all(name.endswith(first) for name in segments)


def test_a_file_without_a_decoder_needs_to_be_allowed(whole, run, begin, tmp_path, capsys):
    """The start that failed leaves nothing that is in the way of the next one."""
    classifier = build_classifier("vit_tiny", 3, **sizes_of(whole))
    save_checkpoint(classifier, tmp_path / "classifier.pth", "pytorch")
    with pytest.raises(ConfigError, match="allow_missing=decoder starts with a fresh one"):
        run(f"init_from={tmp_path / 'classifier.pth'}")
    begin(f"init_from={tmp_path / 'classifier.pth'}", "allow_missing=decoder")
    assert "NOTE: the decoder starts at random" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.depth=3"], "has depth 1, and model=vit_tiny has depth 3: give model.depth=1"),
        (["model.decoder_depth=2"], "has decoder_depth 1, and .* has decoder_depth 2: give model.decoder_depth=1"),
    ],
)
def test_weights_of_another_size_say_what_to_give(whole, run, overrides, message):
    with pytest.raises(ConfigError, match=message):
        run(f"init_from={whole}", *overrides)


def test_weights_of_another_preset_name_it(run, tmp_path):
    save_checkpoint(build_pretrainer("vit_micro"), tmp_path / "micro.pth", "pytorch")
    with pytest.raises(ConfigError) as error:
        run(f"init_from={tmp_path / 'micro.pth'}")
    assert str(error.value) == (
        f"init_from={tmp_path / 'micro.pth'} has embed_dim 96, depth 4, decoder_embed_dim 64, and "
        "model=vit_tiny has embed_dim 24, depth 1, decoder_embed_dim 12: give model=vit_micro"
    )


def sizes_of(directory):
    return read_checkpoint(directory / "checkpoints" / "step_00000006.npz").meta["architecture"]


def test_a_checkpoint_that_is_not_there_is_refused_before_videos_are_rendered(tmp_path):
    places = (f"dataset.root={tmp_path / 'shapes'}", f"run_dir={tmp_path / 'run'}", f"init_from={tmp_path / 'none'}")
    with pytest.raises(ConfigError, match=r"no checkpoint at .*none"):
        pretrain(configured(*SMALL_RUN, *places))
    assert list(tmp_path.iterdir()) == []


def test_init_from_and_resume_refuse_each_others_files(released, run, tmp_path):
    with pytest.raises(ConfigError, match="weights to start from go into init_from="):
        run(f"resume={released}")
    with pytest.raises(ConfigError, match="is this run itself; resume=auto continues it"):
        run(f"init_from={tmp_path / 'run'}")
