import cv2
import numpy as np
import pytest

from mae.data.transforms.crops import multi_scale_crop_box
from mae.data.transforms.spatial import center_crop, multi_scale_crop, resize


def gradient(height, width, frames=2):
    """Red grows downwards, green to the right."""
    clip = np.zeros((frames, height, width, 3), np.uint8)
    clip[..., 0] = np.linspace(0, 255, height)[:, None]
    clip[..., 1] = np.linspace(0, 255, width)
    return clip


def test_a_crop_is_the_resized_box_of_every_frame():
    clip = gradient(48, 64)
    top, left, h, w = multi_scale_crop_box(48, 64, np.random.default_rng(5))
    crop = multi_scale_crop(clip, 16, np.random.default_rng(5))
    assert crop.shape == (2, 16, 16, 3)
    assert crop.dtype == np.uint8
    np.testing.assert_array_equal(crop, resize(clip[:, top : top + h, left : left + w], 16, 16))


def test_there_is_no_flip():
    clip = gradient(48, 64)
    for seed in range(40):
        crop = multi_scale_crop(clip, 16, np.random.default_rng(seed)).astype(int)
        assert (np.diff(crop[..., 1], axis=2) > 0).all()
        assert (np.diff(crop[..., 0], axis=1) > 0).all()


def test_resize_is_bilinear():
    row = np.array([0, 100], np.uint8).reshape(1, 1, 2, 1).repeat(3, axis=3)
    assert resize(row, 1, 4)[0, 0, :, 0].tolist() == [0, 25, 75, 100]
    assert resize(row, 1, 2) is row


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48), (17, 33), (8, 8), (5, 40)])
def test_center_crop_is_square_and_central(height, width):
    crop = center_crop(gradient(height, width), 16)
    assert crop.shape == (2, 16, 16, 3)
    long_channel = crop[0, ..., 1] if width > height else crop[0, ..., 0]
    assert abs(float(long_channel.mean()) - 127.5) < 8


def test_center_crop_keeps_the_aspect():
    clip = np.zeros((1, 40, 80, 3), np.uint8)
    clip[0, :, 20:60] = 255  # the middle square
    assert (center_crop(clip, 20)[0] > 200).all()


def test_center_crop_resizes_the_frame_before_it_cuts():
    clip = np.random.default_rng(0).integers(0, 256, (2, 33, 47, 3), np.uint8)
    whole = np.stack([cv2.resize(frame, (23, 16), interpolation=cv2.INTER_LINEAR) for frame in clip])
    np.testing.assert_array_equal(center_crop(clip, 16), whole[:, :, 3:19])
