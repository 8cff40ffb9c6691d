import cv2
import numpy as np
import pytest
from einops import rearrange

from mae.monitoring.panels import (
    BLANK,
    GREY,
    mask_to_pixels,
    panel_title,
    patch_statistics_from_visible,
    psnr,
    reconstruction_movie,
    reconstruction_views,
    save_png,
)

GRID, PATCH = (2, 2, 3), (2, 4, 4)  # videos of 4 frames, 8 x 12 pixels
SHAPE = (2, 4, 8, 12, 3)
PIXELS = "k (t pt) (h ph) (w pw) c -> k (t h w) (pt ph pw) c"


@pytest.fixture
def videos():
    return np.random.default_rng(0).random(SHAPE, np.float32)


@pytest.fixture
def is_masked():
    return np.random.default_rng(1).permuted(np.tile(np.arange(12) < 9, (2, 1)), axis=1)


def test_mask_covers_exactly_its_patches():
    is_masked = np.zeros((1, 12), bool)
    is_masked[0, 1 * 6 + 1 * 3 + 2] = True  # t=1, h=1, w=2
    pixels = mask_to_pixels(is_masked, GRID, PATCH)
    expected = np.zeros((1, 4, 8, 12), bool)
    expected[0, 2:4, 4:8, 8:12] = True
    np.testing.assert_array_equal(pixels, expected)


def test_psnr_counts_masked_pixels_only(videos, is_masked):
    pixels = mask_to_pixels(is_masked, GRID, PATCH)
    flat = np.full(SHAPE, 0.5, np.float32)
    guess = np.where(pixels[..., None], flat + 0.1, 0.0).astype(np.float32)
    assert psnr(flat, guess, pixels) == pytest.approx(20.0, abs=1e-3)  # -10 log10(0.1 ** 2)
    assert psnr(videos, videos, pixels) == np.inf
    as_bytes = (videos * 255).round().astype(np.uint8)
    assert psnr(as_bytes, videos, pixels) > 50
    with pytest.raises(ValueError, match="no pixel is masked"):
        psnr(videos, videos, np.zeros_like(pixels))


def test_statistics_of_visible_patches_are_their_own(videos, is_masked):
    patches = rearrange(videos, PIXELS, pt=2, ph=4, pw=4)
    mean, std = patch_statistics_from_visible(patches, is_masked, GRID)
    assert mean.shape == std.shape == (2, 12, 1, 3)
    assert mean.dtype == std.dtype == np.float32
    visible = ~is_masked
    np.testing.assert_allclose(mean[visible][:, 0], patches[visible].mean(1), rtol=1e-5)
    np.testing.assert_allclose(std[visible][:, 0], patches[visible].std(1, ddof=1), rtol=1e-5)


def test_statistics_never_look_at_masked_pixels(videos, is_masked):
    patches = rearrange(videos, PIXELS, pt=2, ph=4, pw=4)
    disturbed = np.where(is_masked[..., None, None], 7.0, patches)
    for a, b in zip(
        patch_statistics_from_visible(patches, is_masked, GRID),
        patch_statistics_from_visible(disturbed, is_masked, GRID),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_statistics_weigh_near_patches_more():
    # One row of four tokens, the outer two visible with means 0 and 1: distances 1 and 2 -> weights 1 and 1/16.
    patches = np.zeros((1, 4, 2, 1), np.float32)
    patches[0, 3] = 1.0
    patches[0, 1:3] = np.nan
    mean, std = patch_statistics_from_visible(patches, np.array([[False, True, True, False]]), (1, 1, 4))
    np.testing.assert_allclose(mean[0, :, 0, 0], [0, 1 / 17, 16 / 17, 1], rtol=1e-5)
    np.testing.assert_array_equal(std, np.zeros((1, 4, 1, 1)))


def test_statistics_need_a_visible_patch():
    with pytest.raises(ValueError, match="no visible patch"):
        patch_statistics_from_visible(np.zeros((1, 4, 2, 1)), np.ones((1, 4), bool), (1, 1, 4))


def names(columns):
    return [[view.label[0] for view in column] for column in columns]


def test_views_of_a_normalised_target(videos, is_masked):
    hidden = mask_to_pixels(is_masked, GRID, PATCH)[..., None]
    first = np.where(hidden, np.float32(0.2), videos)
    second = np.where(hidden, np.float32(0.8), videos)
    columns = reconstruction_views(videos, is_masked, first, GRID, PATCH, reconstruction_without_statistics=second)
    assert names(columns) == [["original", "masked (75%)"], ["predicted patches"] * 2, ["predicted and visible"] * 2]
    expected = [
        [videos, np.where(hidden, np.float32(GREY), videos)],
        [np.where(hidden, np.float32(value), np.full_like(videos, BLANK)) for value in (0.2, 0.8)],
        [first, second],
    ]
    for column, wanted in zip(columns, expected, strict=True):
        for view, video in zip(column, wanted, strict=True):
            np.testing.assert_array_equal(view.videos, video)
    sources = [[view.label[1:] for view in column] for column in columns]
    assert sources[1] == sources[2]
    assert ["original" in source[-1] for source in sources[1]] == [True, False]


def test_views_of_pixels_have_no_other_source(videos, is_masked):
    columns = reconstruction_views(videos, is_masked, videos, GRID, PATCH, uses_original_statistics=False)
    assert [view.label for column in columns[1:] for view in column] == [
        ("predicted patches",),
        ("predicted and visible",),
    ]


@pytest.mark.parametrize(("both", "panels"), [(False, 2), (True, 3)])
def test_a_movie_shows_all_views_at_once(videos, is_masked, both, panels):
    second = videos if both else None
    columns = reconstruction_views(
        videos, is_masked, videos, GRID, PATCH, both, reconstruction_without_statistics=second
    )
    movie = reconstruction_movie(columns, "title")
    assert movie.dtype == np.uint8
    assert len(movie) == 4
    assert panels * 192 < movie.shape[2] < (panels + 1) * 192


@pytest.mark.parametrize("channels", [1, 4])
def test_views_of_other_channel_counts_and_bytes(is_masked, channels):
    videos = np.random.default_rng(0).integers(0, 256, (*SHAPE[:4], channels), np.uint8)
    original = reconstruction_views(videos, is_masked, videos, GRID, PATCH)[0][0].videos
    expected = (videos / 255).repeat(3, axis=-1) if channels == 1 else videos[..., :3] / 255
    np.testing.assert_allclose(original, expected, atol=1e-6)


def test_a_title_says_what_is_known():
    assert panel_title(None, 0.5, 20, 0.9).startswith("loss 0.5000")
    title = panel_title(400, 0.58123, 21.345, 0.75)
    assert title == "step 400   loss 0.5812   psnr 21.34 dB (masked pixels)   mask 75%"


def test_views_refuse_shapes_that_do_not_fit(videos, is_masked):
    with pytest.raises(ValueError, match="reconstruction: shape"):
        reconstruction_views(videos, is_masked, videos[:, :2], GRID, PATCH)
    with pytest.raises(ValueError, match=r"originals: shape .* expected \(clips, \*\(4, 8, 8\), channels\)"):
        reconstruction_views(videos, is_masked, videos, (2, 2, 2), PATCH)


def test_png_keeps_colours_and_leaves_no_temporary(tmp_path):
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 200  # red
    path = tmp_path / "reconstructions" / "step_1.png"
    save_png(path, image)
    save_png(path, image)
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], image)
    assert [p.name for p in path.parent.iterdir()] == ["step_1.png"]
