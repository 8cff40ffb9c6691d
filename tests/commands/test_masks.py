import cv2
import numpy as np
import pytest
from written_videos import noise_frames, write_video

from mae.errors import ConfigError
from mae.masking import MASKS
from mae.masks import MasksConfig, draw_masks
from mae.monitoring.panels import GREY


def test_a_row_for_each_kind_with_as_much_grey_as_is_masked(tmp_path):
    output = tmp_path / "masks.png"
    assert (
        draw_masks(MasksConfig(str(output), mask_ratio=0.75)) == f"{output}: masks of 8 x 8 x 8 tokens, mask_ratio 0.75"
    )
    sheet = cv2.imread(str(output))
    # Frames of 64 pixels are enlarged to 128; every row has 8 of them. Tokens of 8 pixels are 16 wide then.
    grey = np.all(sheet == round(255 * GREY), axis=-1)
    # One row for each kind, and two of tubes that follow motion.
    assert grey.sum() == pytest.approx((len(MASKS) + 2) * 0.75 * 8 * 128 * 128, rel=0.01)


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_moving_pictures_of_a_video_of_ones_own(tmp_path, suffix):
    video = write_video(tmp_path / "a.avi", noise_frames(30, height=32, width=32))
    output = tmp_path / f"masks{suffix}"
    draw_masks(MasksConfig(str(output), video, model="vit_micro", frame_stride=4))
    capture = cv2.VideoCapture(str(output))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 4
    capture.release()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "a.bmp"}, "'.bmp' does not exist"),
        ({"model": "vit_bass"}, "did you mean 'vit_base'"),
        ({"mask_ratio": 1.0}, "mask_ratio=1.0 must lie between"),
        ({"mask_motion_share": 0.0}, r"mask_motion_share=0.0 must lie in \(0, 1\]"),
        ({"video": "missing.mp4"}, "video=missing.mp4 does not exist"),
        ({"frames": "img_*"}, r"frames=img_\* is for video=, a directory of pictures: give it as well"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        draw_masks(MasksConfig(**arguments))
    assert not list(tmp_path.iterdir())
