import cv2
import numpy as np
import pytest
from PIL import Image
from released_files import write
from written_videos import noise_frames, write_video

from mae.attention import AttentionConfig, in_columns, lay_over, show_attention
from mae.errors import ConfigError
from mae.presets import Architecture

SIZES = {"num_heads": 3, "image_size": 32, "num_frames": 4}  # of the files of tests/checkpoints/released_files.py


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "a.avi", noise_frames(30, height=32, width=32))


@pytest.mark.parametrize(
    ("suffix", "kind", "words"),
    [
        (".png", "pretrainer", {}),
        (".gif", "classifier", {"head": "each", "token": "1,2,3", "image_size": (24, 40)}),
        (".mp4", "classifier", {"head": "2", "block": 1}),
    ],
)
def test_writes_each_format_of_any_encoder(tmp_path, video, suffix, kind, words):
    output = tmp_path / f"out{suffix}"
    config = AttentionConfig(str(write("A", kind, tmp_path)), video, str(output), **(SIZES | words))
    said = show_attention(config)
    assert said.startswith(f"{output}: block {words.get('block', 2)} of ")
    assert ("token 1,2,3" if "token" in words else "the pooled output") in said
    if suffix == ".gif":
        with Image.open(output) as image:
            assert image.n_frames == 4
    elif suffix == ".mp4":
        capture = cv2.VideoCapture(str(output))
        assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 4
        capture.release()
    else:
        assert cv2.imread(str(output)).std() > 10


def test_a_map_is_bright_where_the_attention_is():
    a = Architecture(image_size=32, num_frames=4, patch_size=8)
    brightness = np.zeros(2 * 4 * 4)
    brightness[1 * 16 + 0 * 4 + 3] = 1.0  # t=1, h=0, w=3
    made = lay_over(np.full((4, 32, 32, 3), 100, np.uint8), brightness, a).mean(-1)
    frame, row, column = np.unravel_index(made.argmax(), made.shape)
    assert frame in (2, 3)
    assert row < 8
    assert column >= 24
    np.testing.assert_array_equal(made[2], made[3])
    assert made[0].std() < 1e-6


def test_panels_of_a_moving_picture_stand_in_three_rows_at_most():
    assert in_columns([1, 2]) == [[1], [2]]
    assert in_columns(list(range(7))) == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"token": "1,2"}, "token=1,2 must be three whole numbers"),
        ({"head": "0"}, "head=0 must be mean, each, or a number"),
        ({"block": 0}, "block=0 must be at least 1"),
        ({"image_size": [8]}, r"image_size=\[8\] must be a whole number from 1"),
        ({"output": "a.bmp"}, "'.bmp' does not exist"),
        ({"output": "no/such/a.png"}, "there is no directory"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(words, message):
    with pytest.raises(ConfigError, match=message):
        AttentionConfig("run", "video.mp4", **words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"token": "2,0,0"}, "token=2,0,0 lies outside the grid of 2 × 4 × 4 tokens"),
        ({"head": "4"}, "head=4: a block has 3 heads"),
        ({"block": 9}, "block=9: the encoder has"),
    ],
)
def test_what_the_model_does_not_have_is_told(words, message):
    config = AttentionConfig("run", "video.mp4", **words)
    a = Architecture(image_size=32, num_frames=4, patch_size=8, embed_dim=24, depth=2, num_heads=3)
    with pytest.raises(ConfigError, match=message):
        config.place(a.grid), config.block_of(a.depth), config.heads_of(a.num_heads)
