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
    assert made.whole_picture(1, 0.5).shape[0] > made.picture(1, 0.5).shape[0]
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


class Reader(ClipReader):
    """Examples 0 to `bad` - 1 cannot be read; the others are filled with their number."""

    def __init__(self, bad):
        super().__init__(VideoIndex(("a",), None, None, ""), ClipSpec(4, 1, 16), seed=0)
        self.bad = bad

    def center_clip(self, example):
        if example < self.bad:
            raise BadVideo(f"reason {example}")
        return np.full((4, 16, 16, 3), example, "uint8")


def mask_of(example):
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
