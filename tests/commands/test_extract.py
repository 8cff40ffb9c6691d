import csv
import json

import numpy as np
import pytest
from tiny import SIZES, tiny_pretrainer
from whole_clips import crop_clip
from written_videos import noise_frames, write_video

from mae.checkpoints.containers.torch_zip import read_torch, write_torch
from mae.checkpoints.save import save_checkpoint
from mae.cli.arguments import command_config
from mae.data.transforms.crops import view_crops
from mae.errors import ConfigError
from mae.extract import ExtractConfig, extract
from mae.models.classifier import build_classifier
from mae.patches import normalise, patchify

TOLD = {"num_heads": 2, "image_size": 16, "num_frames": 4, "frame_stride": 2}


@pytest.fixture(scope="module")
def model():
    return tiny_pretrainer(positions="sincos")


@pytest.fixture(scope="module")
def place(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("extract")
    save_checkpoint(model, place / "p.pth", "pytorch")
    for i, count in enumerate((30, 3)):
        write_video(place / "videos" / f"{i}.avi", noise_frames(count, seed=i))
    (place / "videos" / "broken.avi").write_text("no video")
    return place


def tokens_by_hand(model, frames):
    clip = normalise(crop_clip(frames, view_crops(*frames.shape[1:3], (16, 16), 1)[0])[None].astype("f4") / 255, 3)
    return np.asarray(model.encoder(patchify(clip, (2, 4, 4))))[0]


def run(place, output, said=None, **arguments):
    given = {"checkpoint": place / "p.pth", "video": place / "videos", "output": output, **TOLD, **arguments}
    config = command_config(ExtractConfig, [f"{key}={value}" for key, value in given.items()])
    return extract(config, [].append if said is None else said.append)


def load(path):
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def test_tokens_are_the_encoders(model, place, tmp_path):
    run(place, tmp_path, tokens="true", clips=2, batch_size=1)
    made = load(tmp_path / "0.avi.npz")
    assert made["features"].shape == (2, 2, 4, 4, 24)
    assert made["frames"].tolist() == [[0, 2, 4, 6], [22, 24, 26, 28]]
    np.testing.assert_allclose(made["seconds"], [[0, 0.6], [2.2, 2.8]])
    for features, frames in zip(made["features"], made["frames"], strict=True):
        expected = tokens_by_hand(model, noise_frames(30)[frames])
        np.testing.assert_allclose(features.reshape(32, 24), expected, atol=5e-4)
        # Row-major t, h, w: the second token from the left in the third row of the second step.
        np.testing.assert_allclose(features[1, 2, 1], expected[16 + 2 * 4 + 1], atol=5e-4)
    metadata = json.loads(str(made["metadata"]))
    assert metadata["axes"] == "clip t h w d"
    assert metadata["frames_per_second"] == 10
    assert len(metadata["checkpoint_hash"]) == 64


def test_pooled_features_and_the_index(model, place, tmp_path):
    run(place, tmp_path, dtype="float16")
    made = load(tmp_path / "0.avi.npz")
    assert made["features"].dtype == np.float16
    expected = tokens_by_hand(model, noise_frames(30)[made["frames"][0]]).mean(0)
    np.testing.assert_allclose(made["features"][0], expected, atol=5e-3)
    # Three frames: the last one the stride reaches is repeated.
    assert load(tmp_path / "1.avi.npz")["frames"].tolist() == [[0, 2, 2, 2]]
    with (tmp_path / "index.csv").open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows[:2] == [("0.avi", "0.avi.npz", "1", "ok", ""), ("1.avi", "1.avi.npz", "1", "ok", "")]
    assert rows[2][:4] == ("broken.avi", "", "", "failed")
    assert rows[2][4].startswith("not a video that PyAV can open")


def test_windows(place, tmp_path):
    run(place, tmp_path, video=place / "videos" / "0.avi", window=1.0)
    made = load(tmp_path / "0.avi.npz")
    assert made["features"].shape == (3, 24)
    assert made["frames"][:, 0].tolist() == [1, 11, 21]


def test_features_of_segments_are_others(model, place, tmp_path):
    """Mid-points of 4 segments of 30 frames: ⌊(2i + 1) · 30 / 8⌋."""
    video = place / "videos" / "0.avi"
    run(place, tmp_path / "segments", video=video, sampler="segments")
    made = load(tmp_path / "segments" / "0.avi.npz")
    assert made["frames"].tolist() == [[3, 11, 18, 26]]
    expected = tokens_by_hand(model, noise_frames(30)[[3, 11, 18, 26]]).mean(0)
    np.testing.assert_allclose(made["features"][0], expected, atol=1e-4)
    assert json.loads(str(made["metadata"]))["sampler"] == "segments"
    with pytest.raises(ConfigError, match=r"holds other features .*sampler segments → dense"):
        run(place, tmp_path / "segments", video=video)


def test_a_folder_of_an_earlier_version_holds_dense_features(place, tmp_path):
    video = place / "videos" / "0.avi"
    run(place, tmp_path, video=video)
    settings = json.loads((tmp_path / "settings.json").read_text())
    del settings["sampler"]
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    said = []
    run(place, tmp_path, said, video=video)
    assert "1 of 1 videos are there already" in said
    with pytest.raises(ConfigError, match="sampler dense → segments"):
        run(place, tmp_path, video=video, sampler="segments")


def test_goes_on_where_it_was_interrupted(place, tmp_path):
    first = run(place, tmp_path)
    kept = (tmp_path / "0.avi.npz").stat().st_mtime_ns
    damaged = tmp_path / "1.avi.npz"
    content = load(damaged)["features"]
    damaged.write_bytes(damaged.read_bytes()[:100])
    (tmp_path / "index.csv").unlink()
    said = []
    assert run(place, tmp_path, said) == first
    assert "1 of 3 videos are there already" in said
    assert (tmp_path / "0.avi.npz").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(load(damaged)["features"], content)
    assert (tmp_path / "index.csv").exists()


def test_parts_are_listed_by_the_whole(place, tmp_path):
    said = []
    for number in (2, 1):
        run(place, tmp_path / "parts", said, shard=f"{number}/2")
    assert "once all 2 parts are there, the same command without shard= writes" in said[-1]
    assert sorted(path.name for path in (tmp_path / "parts").glob("*.csv")) == ["index-1-of-2.csv", "index-2-of-2.csv"]
    said = []
    made = run(place, tmp_path / "parts", said)
    assert "2 of 3 videos are there already" in said
    assert made == run(place, tmp_path / "whole")
    assert [path.name for path in (tmp_path / "parts").glob("*.csv")] == ["index.csv"]
    assert (tmp_path / "parts/index.csv").read_bytes() == (tmp_path / "whole/index.csv").read_bytes()


def test_a_video_that_was_replaced_is_read_again(place, tmp_path):
    video = tmp_path / "v" / "a.avi"
    write_video(video, noise_frames(8, seed=1))
    run(place, tmp_path / "out", video=video)
    before = load(tmp_path / "out" / "a.avi.npz")["features"]
    write_video(video, noise_frames(9, seed=2))
    run(place, tmp_path / "out", video=video)
    assert np.abs(load(tmp_path / "out" / "a.avi.npz")["features"] - before).max() > 1e-3


@pytest.mark.parametrize(("change", "message"), [({"tokens": "true"}, "tokens False → True"), ({"clips": 3}, "1 → 3")])
def test_a_folder_with_other_features_is_refused(change, message, place, tmp_path):
    run(place, tmp_path)
    with pytest.raises(ConfigError, match=f"holds other features .*{message}"):
        run(place, tmp_path, **change)


def test_an_encoder_alone_and_a_fine_tuned_model(model, place, tmp_path):
    run(place, tmp_path / "whole")
    expected = load(tmp_path / "whole" / "0.avi.npz")["features"]
    state = read_torch(place / "p.pth")["model"]
    alone = {name: tensor for name, tensor in state.items() if name.startswith("encoder.")}
    write_torch(tmp_path / "alone.pth", {"model": alone})
    run(place, tmp_path / "alone", checkpoint=tmp_path / "alone.pth")
    np.testing.assert_allclose(load(tmp_path / "alone" / "0.avi.npz")["features"], expected, atol=1e-6)

    classifier = build_classifier("vit_tiny", num_classes=3, **{**SIZES, "positions": "sincos"})
    save_checkpoint(classifier, tmp_path / "c.pth", "pytorch")
    run(place, tmp_path / "tuned", checkpoint=tmp_path / "c.pth")
    made = load(tmp_path / "tuned" / "0.avi.npz")
    expected = tokens_by_hand(classifier, noise_frames(30)[made["frames"][0]]).mean(0)
    np.testing.assert_allclose(made["features"][0], expected, atol=1e-4)
    # The same without its head, and so without any norm at the end.
    state = read_torch(tmp_path / "c.pth")["module"]
    headless = {name: tensor for name, tensor in state.items() if not name.startswith(("head", "fc_norm"))}
    write_torch(tmp_path / "headless.pth", {"module": headless})
    run(place, tmp_path / "headless", checkpoint=tmp_path / "headless.pth")
    again = load(tmp_path / "headless" / "0.avi.npz")["features"]
    np.testing.assert_allclose(again, made["features"], atol=1e-6)


def test_names_of_files_stay_inside_the_folder(place, tmp_path):
    outside = write_video(tmp_path / "elsewhere" / "a.avi", noise_frames(4))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "list.txt").write_text(f"{outside}\n../elsewhere/a.avi\n")
    entries = run(place, tmp_path / "out", video=tmp_path / "lists" / "list.txt")
    assert all((tmp_path / "out" / entry.file).is_file() for entry in entries)
    assert len({entry.file for entry in entries}) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", "lists", "out"}


def test_nothing_that_can_be_read_is_a_mistake(place, tmp_path):
    with pytest.raises(ConfigError, match=r"none can be read; the first: broken\.avi: not a video"):
        run(place, tmp_path, video=place / "videos" / "broken.avi")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("outptu=b", "did you mean 'output'"),
        ("dtype=float61", "did you mean 'float16'"),
        ("tokens=perhaps", "tokens: "),
        (f"output={__file__}", "is a file; give a folder"),
        ("batch_size=0", "batch_size=0 must be at least 1"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(argument, message):
    with pytest.raises(ConfigError, match=message):
        command_config(ExtractConfig, ["checkpoint=x", "video=y", "output=z", argument])
