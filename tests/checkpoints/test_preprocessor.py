"""The layer gives the pixels that the commands look at, to the last bit."""

import keras
import numpy as np
import pytest
from written_videos import noise_frames, write_video

from mae.checkpoints.preprocessor import VideoPreprocessor
from mae.data.clips import ClipReader, ClipSpec
from mae.data.lists.index import single_video
from mae.data.transforms.crops import crop_frame, view_crops
from mae.data.videos.read import read_video
from mae.errors import ConfigError
from mae.models.classifier import build_classifier
from mae.options import RESIZES
from mae.patches import normalise

SIZES = [
    (30, 40, 24),
    (40, 30, 24),
    (24, 24, 24),
    (24, 37, 24),
    (7, 9, 32),
    (64, 64, 32),
    (239, 321, 112),
    (33, 200, 8),
    (30, 40, (16, 24)),
    (40, 30, (16, 24)),
    (20, 77, (32, 16)),
]


def by_opencv(videos, size, resize="crop"):
    """What `ClipReader` cuts for the view in the middle."""
    (crop,) = view_crops(*videos.shape[2:4], size if isinstance(size, tuple) else (size, size), 1, resize)
    return np.stack([[crop_frame(frame, crop) for frame in video] for video in videos])


@pytest.mark.parametrize("resize", RESIZES)
def test_no_pixel_differs_from_opencvs(resize):
    drawn = np.random.default_rng(0).integers(8, 130, (10, 3)).tolist()
    differing = {}
    for height, width, size in [*SIZES, *drawn]:
        videos = noise_frames(2, height, height, width)[None]
        made = np.asarray(VideoPreprocessor(size, normalise=False, resize=resize)(videos))
        assert made.dtype == np.uint8
        if (wrong := np.sum(made != by_opencv(videos, size, resize))) > 0:
            differing[height, width, size] = int(wrong)
    assert differing == {}


def test_the_view_in_the_middle_as_the_commands_read_it(tmp_path):
    path = write_video(tmp_path / "a.avi", noise_frames(4, 0, 30, 40))
    read = ClipReader(single_video(path), ClipSpec(4, 1, 24), seed=0).center_clip(0)
    made = VideoPreprocessor(24)(read_video(path)[None])
    np.testing.assert_array_equal(made, normalise(read[None], 3))


def test_before_a_model_and_out_of_its_config():
    classifier = build_classifier("vit_micro", num_classes=3, depth=1)
    layer = VideoPreprocessor.from_config(VideoPreprocessor(24, resize="stretch", name="preprocessor").get_config())
    frames = keras.Input(batch_shape=(2, 4, 30, 40, 3), dtype="uint8")
    whole = keras.Model(frames, classifier(layer(frames)))
    videos = noise_frames(8, 0, 30, 40).reshape(2, 4, 30, 40, 3)
    expected = classifier(by_opencv(videos, 24, "stretch"))
    np.testing.assert_allclose(whole(videos), expected, atol=1e-6)
    assert VideoPreprocessor(24, normalise=False)(frames).dtype == "uint8"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX exports through TensorFlow")
def test_in_an_export(tmp_path):
    import tensorflow as tf

    frames = keras.Input((4, 30, 40, 3), dtype="uint8")
    layer = VideoPreprocessor((24, 40), resize="letterbox")
    keras.Model(frames, layer(frames)).export(tmp_path / "saved", verbose=False)
    videos = noise_frames(4, 0, 30, 40)[None]
    made = tf.saved_model.load(str(tmp_path / "saved")).serve(videos)
    np.testing.assert_array_equal(made, normalise(by_opencv(videos, (24, 40), "letterbox"), 3))


@pytest.mark.parametrize("videos", [np.zeros((1, 4, 30, 40, 3), "float32"), np.zeros((4, 30, 40, 3), "uint8")])
def test_what_is_no_video_is_told(videos):
    with pytest.raises(
        ValueError, match=rf"videos are {videos.dtype} of the shape \(.*; expected uint8 \(b, t, h, w, c\)"
    ):
        VideoPreprocessor(24)(videos)


def test_sizes_that_cannot_be_are_told():
    with pytest.raises(ConfigError, match="image_size=0 must be a whole number"):
        VideoPreprocessor(0)
    with pytest.raises(ConfigError, match="did you mean 'stretch'"):
        VideoPreprocessor(24, resize="strech")
    with pytest.raises(ValueError, match="height and width known"):
        VideoPreprocessor(24)(keras.Input((4, None, 40, 3), dtype="uint8"))
