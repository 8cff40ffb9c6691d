import av
import numpy as np
import pytest

from mae.data.videos.pixels import Pixels


def frame_of(levels, pixels="yuv420p", size=(8, 6)):
    """An even frame with these levels of luma and chroma."""
    frame = av.VideoFrame(*size, pixels)
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    return frame


# (luma, blue and red difference) to RGB, by the formulas of ITU-R BT.601 and BT.709 in limited and in full range.
BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)


def rgb(levels, weights, is_full):
    red, blue = weights
    black, spread = ((0, 128, 128), 255) if is_full else ((16, 128, 128), (219, 224, 224))
    y, u, v = (np.array(levels) - black) / spread
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return 255 * np.clip([r, (y - red * r - blue * b) / (1 - red - blue), b], 0, 1)


@pytest.mark.parametrize("levels", [(16, 128, 128), (235, 128, 128), (81, 90, 200), (120, 160, 90)])
@pytest.mark.parametrize(
    ("matrix", "color_range", "weights", "is_full"),
    [(2, 0, BT601, False), (5, 1, BT601, False), (1, 1, BT709, False), (1, 2, BT709, True), (6, 2, BT601, True)],
)
def test_matrix_and_range(levels, matrix, color_range, weights, is_full):
    """What states nothing (2, 0) is bt.601 of limited range."""
    frame = frame_of(levels)
    frame.colorspace, frame.color_range = matrix, color_range
    made = Pixels().of(frame)
    assert (made.shape, made.dtype) == ((6, 8, 3), np.uint8)
    assert (made == made[0, 0]).all()
    np.testing.assert_allclose(made[0, 0], rgb(levels, weights, is_full), atol=3)  # FFmpeg counts in 16 bits


def test_the_first_frame_gives_the_size():
    pixels = Pixels()
    pixels.first(frame_of((90, 128, 128), size=(10, 4)))
    for size in ((20, 16), (10, 4), (6, 2), (20, 16)):
        made = pixels.of(frame_of((90, 128, 128), size=size))
        assert made.shape == (4, 10, 3)
        np.testing.assert_allclose(made, 86, atol=3)  # (90 - 16) · 255 / 219


def test_kinds_may_change_from_frame_to_frame():
    pixels = Pixels()
    for kind, levels in (("yuv420p", (90, 128, 128)), ("gray", (86,)), ("yuv444p", (90, 128, 128)), ("gray", (86,))):
        np.testing.assert_allclose(pixels.of(frame_of(levels, kind)), 86, atol=1)


def test_a_picture_outlives_the_next_one_and_what_made_it():
    pixels = Pixels()
    first = pixels.of(frame_of((90, 128, 128)))
    second = pixels.of(frame_of((200, 128, 128)))
    del pixels
    np.testing.assert_allclose(first, 86, atol=1)
    np.testing.assert_allclose(second, 214, atol=1)
