import cv2
import numpy as np
import pytest
from configured import SMALL_RUN, configured
from PIL import Image

from mae.errors import ConfigError
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
            assert image.size == (3 * 192, 192)
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
