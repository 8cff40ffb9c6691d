import numpy as np
import pytest
from PIL import Image, ImageOps

from mae.data.transforms.images import map_images


@pytest.mark.parametrize(("height", "width"), [(33, 47), (1, 1), (5, 1)])
def test_every_frame_is_mapped(height, width):
    clip = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), np.uint8)
    before = clip.copy()
    mirrored = map_images(clip, ImageOps.mirror)
    np.testing.assert_array_equal(mirrored, clip[:, :, ::-1])
    np.testing.assert_array_equal(clip, before)
    assert mirrored.dtype == np.uint8
    assert mirrored.flags.c_contiguous


def test_frames_need_not_be_contiguous():
    clip = np.random.default_rng(0).integers(0, 256, (4, 33, 47, 3), np.uint8)[::2, ::-1, 3:40]
    np.testing.assert_array_equal(map_images(clip, ImageOps.invert), 255 - clip)


def test_one_channel_is_three_equal_ones():
    grey = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 1), np.uint8)
    for apply in (ImageOps.equalize, ImageOps.mirror, ImageOps.invert):
        expected = np.stack([np.asarray(apply(Image.fromarray(frame[..., 0]))) for frame in grey])
        np.testing.assert_array_equal(map_images(grey, apply)[..., 0], expected)


def test_an_operation_that_changes_the_size_is_refused():
    with pytest.raises(ValueError, match="broadcast"):
        map_images(np.zeros((1, 4, 6, 3), np.uint8), lambda image: image.resize((3, 3)))
