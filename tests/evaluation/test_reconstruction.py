from dataclasses import replace

import numpy as np
import pytest
from replicas import engine_of
from tiny import GRID, masks, tiny_pretrainer

from mae.data.clips import ClipReader, ClipSpec
from mae.data.lists.index import VideoIndex
from mae.errors import BadVideo, ConfigError
from mae.evaluation.reconstruction import FixedBatch, make_fixed_batch
from mae.masking import tube_mask
from mae.models.pretrainer import pretraining_loss
from mae.options import TARGETS
from mae.patches import normalise, patchify
from mae.target_config import Target
from mae.targets import expected_patches

OTHER_TARGETS = (
    Target("difference", "patch", pixels=0.25),
    Target("difference", "none", weight="motion"),
    Target("videomae", weight="motion"),
)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return FixedBatch(rng.integers(0, 256, (2, 4, 16, 16, 3), "uint8"), masks())


@pytest.mark.parametrize("target", [*TARGETS, *OTHER_TARGETS])
def test_loss_is_the_training_loss(batch, target):
    model = tiny_pretrainer()
    videos = normalise((batch.pixels / 255).astype("float32"), 3)
    expected = pretraining_loss(model, videos, batch.is_masked, target)
    predicted = batch.prediction(engine_of(1), model)()
    assert batch.loss(predicted, model.architecture, target) == pytest.approx(float(expected), rel=1e-5)


def test_trivial_loss_by_hand(batch):
    sizes = tiny_pretrainer().architecture
    # Normalised by the unbiased variance, each group of p = 32 values has the mean square (p - 1) / p.
    assert batch.trivial_loss(sizes, "videomae") == pytest.approx(31 / 32, rel=1e-3)
    hidden = patchify(batch.pixels / 255, (2, 4, 4))[batch.is_masked]
    assert batch.trivial_loss(sizes, "pixels") == pytest.approx(hidden.var(), rel=1e-4)


def test_nothing_moves_is_the_trivial_prediction_of_differences(batch):
    """Scaled by the clip, the mean square of all its patches is 1, of those that are masked about 1."""
    sizes = tiny_pretrainer().architecture
    trivial = batch.trivial_loss(sizes, Target("difference"))
    nothing = np.zeros((2, 24, 96), "float32")
    assert trivial == pytest.approx(batch.loss(nothing, sizes, Target("difference")), rel=1e-3)
    assert trivial == pytest.approx(1, rel=0.05)


def test_a_digest_is_of_all_that_the_loss_depends_on(batch):
    same = FixedBatch(batch.pixels.copy(), batch.is_masked.copy()).digest("videomae")
    other_pixels, other_mask = batch.pixels ^ 1, ~batch.is_masked
    digests = [
        batch.digest("videomae"),
        batch.digest("pixels"),
        *map(batch.digest, OTHER_TARGETS),
        FixedBatch(other_pixels, batch.is_masked).digest("videomae"),
        FixedBatch(batch.pixels, other_mask).digest("videomae"),
    ]
    assert digests[0] == same
    assert len(set(digests)) == 4 + len(OTHER_TARGETS)
    assert batch.digest(Target("videomae")) == digests[0]  # what checkpoints of earlier versions hold


@pytest.mark.parametrize("target", TARGETS)
def test_visible_patches_stay_and_masked_ones_are_predicted(batch, target):
    model = tiny_pretrainer()
    made = batch.reconstruct(batch.prediction(engine_of(1), model)(), model.architecture, target)
    before = patchify(batch.pixels / 255, (2, 4, 4))
    after = patchify(made.with_original_statistics, (2, 4, 4))
    np.testing.assert_allclose(after[~batch.is_masked], before[~batch.is_masked], atol=1e-6)
    assert np.abs(after[batch.is_masked] - before[batch.is_masked]).mean() > 0.01
    assert (made.with_visible_statistics is None) == (target in ("pixels", "difference"))
    assert np.isfinite(made.psnr)
    assert (made.whole_picture(1, 0.5).shape[0] > made.picture(1, 0.5).shape[0]) == (target != "difference")
    assert len(made.movie(1, 0.5)) == 4


def test_a_perfect_prediction_gives_the_video_back(batch):
    from mae.patches import normalised_target

    hidden = patchify((batch.pixels / 255).astype("float32"), (2, 4, 4))[batch.is_masked].reshape(2, 24, 96)
    perfect = np.asarray(normalised_target(hidden, "videomae", 3, 2))
    made = batch.reconstruct(perfect, tiny_pretrainer().architecture, "videomae")
    np.testing.assert_allclose(made.with_original_statistics, batch.pixels / 255, atol=1e-5)
    assert made.psnr > 90


@pytest.mark.parametrize("target", [Target("difference"), OTHER_TARGETS[0]])
def test_perfect_differences_give_the_video_back(batch, target):
    indices = np.stack([np.flatnonzero(row) for row in batch.is_masked]).astype("int32")
    perfect = np.asarray(expected_patches(batch.pixels, indices, target, (2, 4, 4)))
    made = batch.reconstruct(perfect, tiny_pretrainer().architecture, target)
    np.testing.assert_allclose(made.with_original_statistics, batch.pixels / 255, atol=1e-5)
    assert made.psnr > 90


def moving_square():
    """One clip of 4 frames of 16×16 pixels: of its patches 2×4×4 only (0, 0, 0) and (1, 0, 0) move, the former twice.

    The upper left patch is 0, 60, 60, 120: minus its neighbour -60, 60 in the first tubelet, 0, 60 in the second.
    """
    pixels = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 1, 16, 16, 3), "uint8"), 4, axis=1)
    for frame, value in enumerate((0, 60, 60, 120)):
        pixels[:, frame, :4, :4] = value
    return FixedBatch(pixels, np.array([[True] * 4 + [False] * 12 + [True] * 4 + [False] * 12]))


def test_the_loss_over_what_moves_and_over_what_stands_still_by_hand():
    """Of 8 masked patches two move. Predicted are differences of 0.1 everywhere, unscaled."""
    square, sizes = moving_square(), tiny_pretrainer().architecture
    parts = square.by_motion(np.full((1, 8, 96), 0.1, "float32"), sizes, Target("difference", "none"))
    step = 60 / 255
    moving = ((-step - 0.1) ** 2 + (step - 0.1) ** 2 + 0.1**2 + (step - 0.1) ** 2) / 4
    average = (-step + step + 0 + step) / 2 / 8  # a patch is two frames, there are 8
    without = ((-step - average) ** 2 + 2 * (step - average) ** 2 + average**2) / 4
    assert {name: part.patches for name, part in parts.items()} == {"moving": 2, "still": 6}
    assert parts["moving"].loss == pytest.approx(moving, rel=1e-4)
    assert parts["still"].loss == pytest.approx(0.01, rel=1e-4)
    assert parts["moving"].trivial == pytest.approx(without, rel=1e-4)
    assert parts["still"].trivial == pytest.approx(average**2, rel=1e-4)


@pytest.mark.parametrize("target", [*TARGETS, *OTHER_TARGETS])
def test_both_losses_make_up_that_over_all_patches(batch, target):
    target, sizes = Target.of(target), tiny_pretrainer().architecture
    predicted = np.random.default_rng(1).normal(size=(2, 24, 96)).astype("float32")
    parts = batch.by_motion(predicted, sizes, target).values()
    total = sum(part.patches * part.loss for part in parts) / sum(part.patches for part in parts)
    assert total == pytest.approx(batch.loss(predicted, sizes, replace(target, weight="none")), rel=1e-5)
    still = FixedBatch(np.repeat(batch.pixels[:, :1], 4, axis=1), batch.is_masked)
    assert list(still.by_motion(predicted, sizes, target)) == ["still"]


def test_differences_are_shown_as_they_are_and_added_to_the_frame_before():
    square, sizes = moving_square(), tiny_pretrainer().architecture
    made = square.reconstruct(np.full((1, 8, 96), 0.1, "float32"), sizes, Target("difference", "none"))
    (_, _), (original, predicted), (restored,) = ([view.videos for view in column] for column in made._views)
    # The largest difference, 60 steps of uint8, is white, as much less is black; what stands still is grey.
    np.testing.assert_allclose(original[0, :, 0, 0, 0], [0, 1, 0.5, 1], atol=1e-6)
    np.testing.assert_array_equal(original[0, :, 4:], 0.5)
    np.testing.assert_allclose(predicted[0, :, :4], 0.5 + 0.1 / (2 * 60 / 255), atol=1e-5)
    assert (predicted[0, :, 4:] == np.float32(0.9)).all()  # visible: nothing is predicted there
    # The first frame is added to the second, which is its neighbour.
    expected = [60 / 255 + 0.1, 0 + 0.1, 60 / 255 + 0.1, 60 / 255 + 0.1]
    np.testing.assert_allclose(made.with_original_statistics[0, :, 0, 0, 0], expected, atol=1e-5)
    np.testing.assert_allclose(restored, made.with_original_statistics, atol=1e-6)
    # 3 of 4 frames differ by 60 / 255 in 1 of 4 masked patches.
    assert made.psnr_of_neighbours == pytest.approx(-10 * np.log10((60 / 255) ** 2 * 3 / 16), abs=1e-3)
    pixels = square.reconstruct(np.full((1, 8, 96), 0.1, "float32"), sizes, "pixels")
    assert pixels.psnr_of_neighbours is None
    assert made.picture(3, 0.5).shape[0] > 1.5 * pixels.picture(3, 0.5).shape[0]


class Reader(ClipReader):
    """Examples 0 to `bad` - 1 cannot be read; the others are filled with their number."""

    def __init__(self, bad):
        super().__init__(VideoIndex(("a",), None, None, ""), ClipSpec(4, 1, 16), seed=0)
        self.bad = bad

    def center_clip(self, example):
        if example < self.bad:
            raise BadVideo(f"reason {example}")
        return np.full((4, 16, 16, 3), example, "uint8")


def mask_of(example, clip):
    assert (clip == example).all()
    return tube_mask(GRID, 0.75, seed=example)[0]


def test_clips_come_from_all_over_the_list_and_bad_ones_are_passed_over():
    def numbers(bad):
        return make_fixed_batch(Reader(bad), 100, mask_of, 4).pixels[:, 0, 0, 0, 0].tolist()

    assert numbers(0) == [0, 25, 50, 75]
    assert numbers(30) == [50, 75, 30, 31]


def test_a_mask_belongs_to_its_example():
    first, second = (make_fixed_batch(Reader(0), n, mask_of, 1).is_masked for n in (10, 99))
    np.testing.assert_array_equal(first, second)


def test_no_readable_video_is_an_error_with_the_first_reason():
    with pytest.raises(ConfigError, match="none of the 5 listed videos can be read; the first: reason 0"):
        make_fixed_batch(Reader(5), 5, mask_of, 4)
