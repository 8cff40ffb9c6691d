import re

import cv2
import numpy as np
import pytest
from configured import SMALL_RUN, configured
from PIL import Image
from released_files import write
from test_load import build
from written_videos import noise_frames, write_video

from mae.checkpoints.load import load_checkpoint
from mae.errors import ConfigError
from mae.masking import tube_mask
from mae.pretraining.run import pretrain
from mae.reconstruct import ReconstructConfig, reconstruct


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run directory and one of its videos."""
    place = tmp_path_factory.mktemp("reconstruct")
    overrides = (f"dataset.root={place / 'videos'}", f"run_dir={place / 'run'}", "steps=1")
    pretrain(configured(*SMALL_RUN, *overrides))
    return place / "run", next((place / "videos").rglob("*.avi"))


@pytest.mark.parametrize("suffix", [".png", ".gif", ".mp4"])
def test_writes_each_format(trained, tmp_path, suffix):
    run, video = trained
    output = tmp_path / f"out{suffix}"
    said = reconstruct(ReconstructConfig(str(run), str(video), str(output)))
    assert said.startswith(f"{output}: loss ")
    if suffix == ".gif":
        with Image.open(output) as image:
            assert image.n_frames == 4
            assert image.size[0] > 3 * 192
            assert image.size[1] > 2 * 192
    elif suffix == ".mp4":
        capture = cv2.VideoCapture(str(output))
        assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 4
        capture.release()
    else:
        assert cv2.imread(str(output)).std() > 10


def test_a_checkpoint_file_and_the_run_that_holds_it_are_the_same_model(trained, tmp_path):
    run, video = trained
    checkpoint = run / "checkpoints" / "step_00000001.npz"
    pictures = []
    for i, source in enumerate((run, checkpoint)):
        output = tmp_path / f"{i}.png"
        reconstruct(ReconstructConfig(str(source), str(video), str(output), mask_ratio=0.5, masking="random", seed=3))
        pictures.append(cv2.imread(str(output)))
    np.testing.assert_array_equal(*pictures)


def test_in_another_precision_the_loss_is_nearly_the_same(trained, tmp_path):
    run, video = trained
    said = {
        name: reconstruct(ReconstructConfig(str(run), str(video), str(tmp_path / f"{name}.png"), precision=name))
        for name in ("float32", "bfloat16")
    }
    losses = {name: float(re.search(r": loss (\S+),", text)[1]) for name, text in said.items()}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.01)
    assert (cv2.imread(str(tmp_path / "float32.png")) != cv2.imread(str(tmp_path / "bfloat16.png"))).any()


@pytest.mark.parametrize("format", ["A", "B", "C", "D", "E4", "E5", "Ebin"])
def test_every_released_layout_in_the_published_setting(format, tmp_path):
    """The loss by hand, of a model whose outputs are compared with those of transformers elsewhere."""
    frames = noise_frames(30, height=32, width=32)
    video = write_video(tmp_path / "a.avi", frames)
    path = write(format, "pretrainer", tmp_path)
    sizes = {"num_heads": 3, "decoder_num_heads": 3, "image_size": 32, "num_frames": 4}
    told = {} if format.startswith("E") else sizes
    output = tmp_path / "out.png"
    said = reconstruct(ReconstructConfig(str(path), video, str(output), **told)).splitlines()
    model = build("pretrainer")
    load_checkpoint(path, model)
    clip = frames[[7, 11, 15, 19]] / 255  # 4 frames at stride 4 in the middle of 30: from ⌊(30 − 16) / 2⌋ on
    is_masked = tube_mask((2, 4, 4), 0.9, seed=0)
    # Patches (t h w) of (pt ph pw) values of each channel; the masked ones, normalised over the tubelet.
    patches = clip.reshape(2, 2, 4, 8, 4, 8, 3).transpose(0, 2, 4, 1, 3, 5, 6).reshape(32, 128, 3)[is_masked[0]]
    deviation = np.sqrt(patches.var(axis=1, ddof=1, keepdims=True))
    target = (patches - patches.mean(axis=1, keepdims=True)) / (deviation + 1e-6)
    normalised = ((clip - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225))[None].astype("float32")
    predicted = np.asarray(model(normalised, is_masked))[0]
    loss = ((predicted - target.reshape(predicted.shape)) ** 2).mean()
    assert float(re.match(rf"{output}: loss (\S+), psnr ", said[0])[1]) == pytest.approx(loss, rel=1e-3)
    assert said[1].startswith("tube mask 0.9, target videomae; ")
    unknown = (
        "frame_stride, sampler, masking, mask_ratio"
        if format.startswith("E")
        else ("frame_stride, sampler, target, masking, mask_ratio")
    )
    assert said[1].endswith(f"4 frames at stride 4 (sampler dense), 32×32; the file does not tell {unknown}: assumed")
    assert cv2.imread(str(output)).std() > 10


def test_a_fine_tuned_file_has_no_decoder(tmp_path):
    video = write_video(tmp_path / "a.avi", noise_frames(8))
    with pytest.raises(
        ConfigError, match=r"\(Keras h5, classifier\) holds no decoder, .*give the pre-trained checkpoint"
    ):
        reconstruct(ReconstructConfig(str(write("A", "classifier", tmp_path)), video, str(tmp_path / "out.png")))
    config = ReconstructConfig(str(write("D", "pretrainer", tmp_path)), video, str(tmp_path / "out.png"), num_heads=3)
    with pytest.raises(ConfigError, match=r"does not tell its decoder's number of heads.*give decoder_num_heads="):
        reconstruct(config)


def test_what_is_told_wins_over_the_run(trained, tmp_path):
    run, video = trained
    output = str(tmp_path / "out.png")
    said = reconstruct(ReconstructConfig(str(run), str(video), output, sampler="segments", target="pixels"))
    assert "tube mask 0.75, target pixels; " in said
    assert "4 frames, one of each segment (sampler segments), 32×32" in said
    assert "assumed" not in said


def test_a_mask_that_follows_motion(trained, tmp_path):
    run, video = trained
    said, losses = {}, set()
    for name in ("none", "hide", "keep"):
        said[name] = reconstruct(ReconstructConfig(str(run), str(video), str(tmp_path / "a.png"), mask_motion=name))
        losses.add(re.search(r": loss (\S+),", said[name])[1])
    assert "tube mask 0.75, target" in said["none"]
    assert "tube mask 0.75 that follows motion (hide), target" in said["hide"]
    assert len(losses) == 3
    with pytest.raises(ConfigError, match="masking=block draws boxes"):
        reconstruct(
            ReconstructConfig(str(run), str(video), str(tmp_path / "b.png"), masking="block", mask_motion="hide")
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"checkpoint": "missing"}, "no checkpoint at missing"),
        ({"video": "missing.mp4"}, "video=missing.mp4 does not exist"),
        ({"mask_ratio": 1.0}, "mask_ratio=1.0 must lie between"),
        ({"masking": "tubes"}, "did you mean 'tube'"),
    ],
)
def test_mistakes_are_told_in_a_line_and_write_nothing(trained, tmp_path, arguments, message):
    run, video = trained
    right = {"checkpoint": str(run), "video": str(video), "output": str(tmp_path / "out.png")}
    with pytest.raises(ConfigError, match=message):
        reconstruct(ReconstructConfig(**(right | arguments)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("output", "message"), [("a.bmp", "'.bmp' does not exist"), ("no/such/a.png", "no directory")])
def test_outputs_that_cannot_be_written_are_told_first(output, message):
    with pytest.raises(ConfigError, match=message):
        ReconstructConfig("run", "video", output)
