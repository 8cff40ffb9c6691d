import csv
import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from tiny import SIZES, tiny_pretrainer
from whole_clips import crop_clip
from written_videos import noise_frames, write_video

from mae import predict as module
from mae.checkpoints.containers.torch_zip import read_torch, write_torch
from mae.checkpoints.run_state import Checkpoints, variables_to_arrays
from mae.checkpoints.save import save_checkpoint
from mae.cli.arguments import command_config
from mae.data.sampling import dense_stride_center
from mae.data.transforms.crops import view_crops
from mae.errors import ConfigError
from mae.extract import ExtractConfig, extract
from mae.models.classifier import build_classifier
from mae.patches import normalise
from mae.predict import PredictConfig, main, predict

NAMES = {i: f"class {i}" for i in range(7)}


@pytest.fixture(scope="module")
def model():
    model = build_classifier("vit_tiny", num_classes=7, init_scale=10.0, **{**SIZES, "positions": "sincos"})
    for i, variable in enumerate(model.encoder.trainable_variables):
        variable.assign(np.random.default_rng(i).normal(0, 0.3, variable.shape))
    return model


@pytest.fixture(scope="module")
def place(model, tmp_path_factory):
    """A folder with checkpoints and videos."""
    place = tmp_path_factory.mktemp("predict")
    save_checkpoint(model, place / "named", "huggingface", NAMES)
    save_checkpoint(model, place / "nameless", "huggingface")
    for i, count in enumerate((30, 3)):
        write_video(place / "videos" / f"{i}.avi", noise_frames(count, seed=i))
    (place / "videos" / "broken.avi").write_text("no video")
    return place


def by_hand(model, frames):
    """Softmax of the model called on one clip."""
    clip = crop_clip(frames, view_crops(*frames.shape[1:3], (16, 16), 1)[0])[None].astype("f4") / 255
    logits = np.asarray(model(normalise(clip, 3)), "f8")[0]
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def run(place, said=None, **arguments):
    given = {"checkpoint": place / "named", "video": place / "videos" / "0.avi", **arguments}
    config = command_config(PredictConfig, [f"{key}={value}" for key, value in given.items()])
    return predict(config, [].append if said is None else said.append)


def assert_is(prediction, probabilities):
    order = np.argsort(-probabilities)[: len(prediction.top)]
    assert [number for number, _, _ in prediction.top] == order.tolist()
    np.testing.assert_allclose([p for _, _, p in prediction.top], probabilities[order], atol=1e-5)


def test_one_clip_is_the_model_called_by_hand(model, place):
    made = run(place, clips=1, frame_stride=3)
    frames = noise_frames(30)[dense_stride_center(30, 4, 3)]
    assert_is(made[0], by_hand(model, frames))
    assert [name for _, name, _ in made[0].top] == [f"class {number}" for number, _, _ in made[0].top]
    assert len(made[0].top) == 5


def test_several_clips_are_averaged(model, place):
    (made,) = run(place, clips=3, frame_stride=2, top=2, batch_size=2)
    starts = (0, 11, 22)
    expected = np.mean([by_hand(model, noise_frames(30)[s : s + 8 : 2]) for s in starts], axis=0)
    assert_is(made, expected)


def test_windows_say_when(model, place):
    made = run(place, window=1.2, stride=0.9, frame_stride=1)
    assert [(p.start, p.end) for p in made] == [(0, 1.2), (0.9, 2.1), (1.8, 3.0)]
    for prediction, start in zip(made, (0, 9, 18), strict=True):
        first = start + (12 - 4) // 2
        assert_is(prediction, by_hand(model, noise_frames(30)[first : first + 4]))


def test_a_folder_with_an_unreadable_video(place, tmp_path):
    said = []
    made = run(place, said, video=place / "videos", output=tmp_path / "o.csv")
    assert [p.video for p in made] == ["0.avi", "1.avi", "broken.avi"]
    assert made[2].reason.startswith("not a video that PyAV can open")
    assert any("FAILED  not a video" in text for text in said)
    with (tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 11
    number, name, probability = made[0].top[0]
    assert rows[0] == {
        "video": "0.avi", "start_s": "", "end_s": "", "rank": "1", "class": str(number), "name": name,
        "probability": f"{probability:.6f}", "status": "ok", "reason": "",
    }  # fmt: skip
    assert (rows[-1]["video"], rows[-1]["status"], rows[-1]["name"]) == ("broken.avi", "failed", "")


def interrupt_after(count):
    """For `say`: ends a command after so many videos."""
    said = []

    def say(text):
        said.append(text)
        if sum("class" in line and ":" not in line for line in said) == count:
            raise KeyboardInterrupt

    return say


def test_parts_become_what_the_whole_would_be_and_an_interrupted_one_goes_on(place, tmp_path, monkeypatch):
    given = {"video": place / "videos", "top": 2}
    expected = run(place, output=tmp_path / "whole.csv", **given)
    assert not (tmp_path / "whole.csv.parts").exists()
    config = [f"{key}={value}" for key, value in given.items()]
    config = [f"checkpoint={place / 'named'}", f"output={tmp_path / 'o.csv'}", *config]
    with pytest.raises(KeyboardInterrupt):
        predict(command_config(PredictConfig, [*config, "shard=1/1"]), interrupt_after(2))
    said = []
    for number in (1, 2):
        run(place, said, output=tmp_path / "o.csv", shard=f"{number}/2", **given)
    assert not (tmp_path / "o.csv").exists()
    assert "1 of 2 videos are known already" in said
    assert f"once all 2 parts are done, the same command without shard= writes {tmp_path / 'o.csv'}" in said[-1]
    assert sorted(path.name for path in (tmp_path / "o.csv.parts").iterdir()) == ["1-of-1.jsonl", "2-of-2.jsonl"]
    other = r"1-of-1.jsonl was made with other settings \(top 2 → 3; resize crop → stretch\): type those again"
    with pytest.raises(ConfigError, match=other):
        run(place, output=tmp_path / "o.csv", video=place / "videos", top=3, resize="stretch")
    computed = []
    by_video = module._by_video
    noted = lambda left, *others: computed.extend(left) or by_video(left, *others)  # noqa: E731
    monkeypatch.setattr(module, "_by_video", noted)
    made = run(place, output=tmp_path / "o.csv", **given)
    assert [name for name, _ in computed] == ["broken.avi"], "what cannot be read is tried again"
    assert made == expected
    assert (tmp_path / "o.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not (tmp_path / "o.csv.parts").exists()


def test_json(place, tmp_path):
    made = run(place, video=place / "videos", output=tmp_path / "o.json", window=1.0, top=1)
    written = json.loads((tmp_path / "o.json").read_text())
    assert [entry["video"] for entry in written] == [p.video for p in made]
    assert written[0]["start_s"] == 0
    assert written[0]["top"] == [{"class": made[0].top[0][0], "name": made[0].top[0][1],
                                  "probability": round(made[0].top[0][2], 6)}]  # fmt: skip
    assert written[-1].pop("reason").startswith("not a video that PyAV can open")
    assert written[-1] == {"video": "broken.avi", "status": "failed"}


def test_names_of_classes(place, tmp_path):
    assert {name for _, name, _ in run(place, checkpoint=place / "nameless", top=7)[0].top} == set("0123456")
    (tmp_path / "names.txt").write_text("\n".join("abcdefg"))
    made = run(place, checkpoint=place / "nameless", classes=tmp_path / "names.txt")[0].top
    assert all("abcdefg"[number] == name for number, name, _ in made)
    (tmp_path / "few.txt").write_text("a\nb\n")
    with pytest.raises(ConfigError, match=r"few.txt has 2 label names, and the model has 7 classes"):
        run(place, classes=tmp_path / "few.txt")


def test_a_run_tells_stride_and_names(model, place, tmp_path):
    meta = {"step": 3, "architecture": asdict(model.architecture), "id2label": NAMES}
    meta["config"] = {"dataset": {"frame_stride": 7}}
    Checkpoints(tmp_path / "run" / "checkpoints", keep=1).save(variables_to_arrays(model.variables), meta)
    made = run(place, checkpoint=tmp_path / "run", clips=1)
    frames = noise_frames(30)[dense_stride_center(30, 4, 7)]
    assert_is(made[0], by_hand(model, frames))
    assert {name for _, name, _ in made[0].top} <= set(NAMES.values())


def test_a_model_trained_on_segments_is_shown_segments(model, place, tmp_path):
    """Of 30 frames in 4 segments: mid-points ⌊(2i + 1) · 30 / 8⌋, starts ⌊i · 30 / 4⌋."""
    meta = {"step": 3, "architecture": asdict(model.architecture), "id2label": NAMES}
    meta["config"] = {"dataset": {"frame_stride": 2}, "data": {"sampler": "tsn_segments"}}
    Checkpoints(tmp_path / "run" / "checkpoints", keep=1).save(variables_to_arrays(model.variables), meta)
    said = []
    made = run(place, said, checkpoint=tmp_path / "run")
    video = noise_frames(30)
    middle, first = by_hand(model, video[[3, 11, 18, 26]]), by_hand(model, video[[0, 7, 15, 22]])
    assert_is(made[0], (middle + first) / 2)
    assert said[0].endswith("4 frames, one of each segment (sampler segments), 16×16")
    assert_is(run(place, checkpoint=tmp_path / "run", clips=1)[0], middle)
    # The clip of a window are the segments of the window: frames 10 to 29, in fives.
    windows = run(place, checkpoint=tmp_path / "run", window=2.0)
    assert_is(windows[-1], by_hand(model, video[[12, 17, 22, 27]]))
    dense = run(place, said, checkpoint=tmp_path / "run", clips=1, sampler="dense")
    assert_is(dense[0], by_hand(model, video[11:19:2]))
    assert "4 frames at stride 2 (sampler dense), 16×16" in said[-2]
    with pytest.raises(ConfigError, match=r"clips=5: there are 2 by segments.*or sampler=dense"):
        run(place, checkpoint=tmp_path / "run", clips=5)


def test_a_checkpoint_without_a_trained_head_is_refused(place, tmp_path):
    save_checkpoint(tiny_pretrainer(positions="sincos"), tmp_path / "p.pth", "pytorch")
    with pytest.raises(
        ConfigError, match=r"holds no trained classification head.*fine-tune first: \S*python finetune.py init_from="
    ):
        run(place, checkpoint=tmp_path / "p.pth")


def test_sizes_that_a_file_does_not_tell(model, place, tmp_path):
    save_checkpoint(model, tmp_path / "c.pth", "pytorch")
    write_torch(tmp_path / "c.pth", {"module": read_torch(tmp_path / "c.pth")["module"]})  # as others write it
    with pytest.raises(ConfigError, match=r"does not tell its number of heads.*give num_heads="):
        run(place, checkpoint=tmp_path / "c.pth")
    told = {"num_heads": 2, "image_size": 16, "num_frames": 4}
    made = run(place, checkpoint=tmp_path / "c.pth", **told)
    np.testing.assert_allclose([p for _, _, p in made[0].top], [p for _, _, p in run(place)[0].top], atol=1e-5)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        ("videos/broken.avi", r"none can be read; the first: broken.avi: "),
        ("missing.mp4", r"video=\S+missing.mp4 does not exist; give a list"),
    ],
)
def test_nothing_that_can_be_read_is_a_mistake(place, video, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        run(place, video=place / video, output=tmp_path / "o.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("vidio=a", "did you mean 'video'"),
        ("output=a.txt", "'.txt' does not exist"),
        ("shard=1/2", "shard=1/2 needs output=, beside which all parts keep what they find out"),
        ("shard=0/2", "shard=0/2 is not one of 1/n to n/n"),
        ("executor=local", "executor=local is no cluster"),
        ("output=no/such/a.csv", "there is no directory"),
        ("precision=flot32", "did you mean 'float32'"),
        ("clips=0", "clips=0 must be at least 1"),
        ("window=long", "window: "),
        ("sampler=tsn", "sampler 'tsn' does not exist"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(argument, message):
    with pytest.raises(ConfigError, match=message):
        command_config(PredictConfig, ["checkpoint=x", "video=y", argument])


def test_the_command_counts_what_failed(place, capsys, monkeypatch):
    monkeypatch.setattr(module, "load_backend", lambda name: None)
    main([f"checkpoint={place / 'named'}", f"video={place / 'videos'}"])
    printed = capsys.readouterr()
    assert printed.err == "1 videos could not be read\n"
    assert "0.avi\n  class " in printed.out


@pytest.mark.parametrize("command", ["mae.predict", "mae.extract"])
def test_a_mistake_is_one_line_and_status_2_before_tensorflow_is_imported(command):
    code = (
        f"import sys; sys.argv = ['x', 'chekpoint=a']; from runpy import run_module\n"
        f"try: run_module({command!r}, run_name='__main__')\n"
        "finally: assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: argument 'chekpoint' does not exist; did you mean 'checkpoint'?")
    assert done.stderr.count("\n") == 1


COMMANDS = pytest.mark.parametrize(
    ("command", "cls", "more"), [(predict, PredictConfig, []), (extract, ExtractConfig, ["output=o"])]
)


@COMMANDS
def test_root_says_what_a_list_is_relative_to(command, cls, more, tmp_path):
    """Not there, it is a mistake that is found before the checkpoint is looked for."""
    (tmp_path / "list.csv").write_text("a.mp4\n")
    with pytest.raises(ConfigError, match="root=/not/there is not a directory"):
        command(command_config(cls, ["checkpoint=x", f"video={tmp_path}/list.csv", "root=/not/there", *more]))


@COMMANDS
def test_frames_say_which_of_several_series_is_meant(command, cls, more, tmp_path):
    """Asked for before the checkpoint is looked for, which is not there."""
    for name in ("img_1.jpg", "img_2.jpg", "flow_1.jpg", "flow_2.jpg"):
        (tmp_path / "clip" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "clip" / name).touch()
    given = ["checkpoint=/not/there", f"video={tmp_path}/clip", *more]
    with pytest.raises(ConfigError, match=r"several series of pictures, .* frames=flow_\*.jpg says so for all"):
        command(command_config(cls, given))
    with pytest.raises(ConfigError, match="no checkpoint at /not/there"):
        command(command_config(cls, [*given, "frames=img_*"]))
