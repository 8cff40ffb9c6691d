"""Videos of other channels than three, from the list to a prediction: pre-train → fine-tune → test → predict.

Those of four channels become pictures that are no squares, between black bars.
"""

import json

import numpy as np
import pytest
from configured import SMALL_RUN, configured, configured_finetuning
from written_videos import noise_frames, write_video

import mae
from mae.attention import AttentionConfig, show_attention
from mae.checkpoints.run_state import Checkpoints, read_checkpoint
from mae.checkpoints.save import save_checkpoint
from mae.extract import ExtractConfig, extract
from mae.finetuning.run import finetune
from mae.predict import PredictConfig, predict
from mae.pretraining.run import pretrain
from mae.reconstruct import ReconstructConfig, reconstruct

SIZES = {"image_size": 16, "num_frames": 4, "patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2}
DECODER = {"decoder_embed_dim": 12, "decoder_depth": 1, "decoder_num_heads": 2}
RUN = (
    *(setting for setting in SMALL_RUN if not setting.startswith(("dataset.", "model.", "evaluate"))),
    *(
        "dataset=folder",
        "dataset.frame_stride=1",
        "steps=2",
        "warmup_steps=0",
        "data.workers=1",
        "model=vit_tiny",
        "model.positions=sincos",
    ),
    *(f"model.{name}={value}" for name, value in SIZES.items()),
)


def folder_of(tmp_path, write):
    """Two classes of two videos each, for training and for a test."""
    for part, first in (("train", 0), ("val", 10)):
        for number in range(4):
            path = tmp_path / "videos" / part / ("dark", "bright")[number % 2]
            path.mkdir(parents=True, exist_ok=True)
            write(path, first + number)
    return f"dataset.root={tmp_path / 'videos'}"


def grey_video(folder, number):
    frames = noise_frames(6, number, 20, 24)
    write_video(folder / f"{number}.avi", np.repeat(frames[..., :1], 3, axis=-1) // (1 + number % 2))


def four_channels(folder, number):
    frames = np.random.default_rng(number).integers(0, 4096, (6, 20, 24, 4), np.uint16)
    np.save(folder / f"{number}.npy", frames // (1 + number % 2))


@pytest.mark.parametrize(
    ("write", "settings", "channels"),
    [
        (grey_video, ("data.channels=grey", "model.in_channels=1", "model.mean=[0.4]", "model.std=[0.3]"), 1),
        (
            four_channels,
            (
                *("data.channels=stored", "model.in_channels=4", "data.window=[0,4095]"),
                *("model.image_size=[16,24]", "data.resize=letterbox"),
            ),
            4,
        ),
    ],
)
def test_from_a_list_to_a_prediction(tmp_path, monkeypatch, write, settings, channels, capsys):
    root = folder_of(tmp_path, write)
    pretrained, tuned = tmp_path / "pretrained", tmp_path / "tuned"
    decoder = tuple(f"model.{name}={value}" for name, value in DECODER.items())
    pretrain(configured(*RUN, root, *settings, *decoder, "probe.every=null", f"run_dir={pretrained}"))
    noted = read_checkpoint(Checkpoints(pretrained / "checkpoints", 1).paths()[-1]).meta
    size, resize = (16, "crop") if channels == 1 else ((16, 24), "letterbox")
    assert ("16×16 pixels\n" if channels == 1 else "16×24 pixels (letterbox)\n") in capsys.readouterr().out
    assert noted["architecture"]["in_channels"] == channels

    augment = () if channels == 4 else ("augment.rand_augment=rand-m7-n4-mstd0.5-inc1",)
    finetune(
        configured_finetuning(
            *RUN, root, *settings, f"init_from={pretrained}", f"run_dir={tuned}", "batch_size=2", "eval_batch_size=2",
            "augment.rand_augment=null", "augment.erase_probability=0.5", *augment, "mixing.probability=0",
        )
    )  # fmt: skip
    assert json.loads((tuned / "test.json").read_text())["videos"]["evaluated"] == 4

    video = str(next((tmp_path / "videos/val/dark").iterdir()))
    (made,) = predict(PredictConfig(checkpoint=str(tuned), video=video), say=lambda text: None)
    assert made.reason is None
    assert {name for _, name, _ in made.top} == {"dark", "bright"}
    monkeypatch.chdir(tmp_path)
    (entry,) = extract(ExtractConfig(checkpoint=str(pretrained), video=video, output="features"), say=lambda text: None)
    assert entry.reason is None
    assert "loss" in reconstruct(ReconstructConfig(checkpoint=str(pretrained), video=video, output="r.png"))
    assert "block 1" in show_attention(AttentionConfig(checkpoint=str(tuned), video=video, output="a.png"))

    model = mae.from_pretrained(tuned)
    clip = model.card.clip
    assert (clip.in_channels, clip.channels) == (channels, "grey" if channels == 1 else "stored")
    assert clip.window == (None if channels == 1 else (0, 4095))
    assert (clip.image_size, clip.resize) == (size, resize)
    assert clip.mean == ((0.4,) if channels == 1 else (0.5,) * 4)
    dataset = mae.load_dataset(tmp_path / "videos", clip, split="val", batch_size=4)
    clips, *_ = dataset[0]
    assert clips.shape == (4, 4, *model.architecture.picture_size, channels)
    if resize == "letterbox":  # 20 × 24 pixels become 16 × 19, in the middle
        assert clips[:, :, :, [*range(2), *range(21, 24)]].max() == 0
        assert clips[:, :, :, 2:21].min(axis=(0, 1, 2, 4)).max() < clips[:, :, :, 2:21].max(axis=(0, 1, 2, 4)).min()
    for name, format in (("a.keras", "keras"), ("hf", "huggingface"), ("saved", "savedmodel")):
        save_checkpoint(model, tmp_path / name, format, dict(enumerate(model.card.class_names)), model.card.training)
        again = mae.from_pretrained(tmp_path / name)
        np.testing.assert_allclose(np.asarray(again(clips)), np.asarray(model(clips)), atol=1e-5)
        assert again.card.clip == clip
    assert json.loads((tmp_path / "hf/config.json").read_text())["num_channels"] == channels
