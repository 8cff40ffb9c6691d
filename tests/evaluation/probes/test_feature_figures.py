import numpy as np
import pytest
from tiny import GRID, tiny_pretrainer

from mae.engines.engine import Setup
from mae.engines.start import start_engine
from mae.errors import Interrupted
from mae.evaluation.features import encode, pool, pool_cells
from mae.evaluation.probes.feature_figures import FeatureFigures
from mae.evaluation.probes.knn import leave_one_out_knn
from mae.evaluation.probes.spread import feature_spread
from mae.patches import normalise
from mae.signals import never


def clips_of_two_kinds(count):
    """Dark and bright noise: any encoder tells them apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    return (rng.integers(0, 60, (count, 4, 16, 16, 3)) + 180 * labels[:, None, None, None, None]).astype("u1"), labels


def encoded_by(model):
    def function(videos):
        tokens = encode(model, videos)
        return pool(model, tokens), pool_cells(model, tokens, 2)

    return start_engine(Setup("single")).inference(model, function)


def test_figures_are_those_of_the_features():
    model = tiny_pretrainer()
    clips, labels = clips_of_two_kinds(10)
    made = FeatureFigures(encoded_by(model), clips, labels, GRID[0], 4, attentive_steps=None).figures(never)
    features = np.asarray(encode(model, normalise((clips / 255).astype("f4"), 3))).mean(1)
    spread = feature_spread(features)
    assert made["feature_rank"] == pytest.approx(spread.rank, rel=1e-3)
    assert made["feature_std"] == pytest.approx(spread.std, rel=1e-3)
    votes = leave_one_out_knn(features, labels, 2, k=4)
    assert made["probe_top1"] == (votes.argmax(1) == labels).mean() == 1
    unlabelled = FeatureFigures(encoded_by(model), clips, None, GRID[0], 4, attentive_steps=None)
    assert unlabelled.figures(never).keys() == {"feature_rank", "feature_std"}


def test_figures_follow_the_weights():
    model = tiny_pretrainer()
    clips, labels = clips_of_two_kinds(32)
    probe = FeatureFigures(encoded_by(model), clips, labels, GRID[0], 32, attentive_steps=40)
    before = probe.figures(never)
    assert before["probe_attentive_top1"] > 0.9
    # Nothing of a look is left over in the next one.
    assert probe.figures(never) == pytest.approx(before, abs=1e-6)
    for variable in model.encoder.trainable_variables:
        variable.assign(variable * 0)
    after = probe.figures(never)
    assert (after["feature_std"], after["probe_attentive_top1"], after["probe_order"]) == (0, 0.5, 0.5)


def rising(count):
    """Clips (count, 4, 2, 2, 3) that get brighter by the same amount from frame to frame, from anywhere."""
    rng = np.random.default_rng(0)
    first, rise = rng.integers(0, 100, count), rng.integers(10, 30, count)
    levels = first[:, None] + rise[:, None] * np.arange(4)
    return np.broadcast_to(levels[..., None, None, None], (count, 4, 2, 2, 3)).astype("u1")


def brightness(clips):
    """(b, 4): of each frame."""
    return clips.mean((2, 3, 4), dtype="f4") / 50


def from_frame_to_frame(clips):
    """Four tokens that say what is before them, as attention over time may find out."""
    levels = brightness(clips)
    steps = np.diff(levels, axis=1, prepend=levels[:, :1])
    tokens = np.stack([steps, -steps, levels, np.ones_like(levels)], axis=-1)
    return tokens.mean(1), tokens


def frame_by_frame(clips):
    """Four tokens, each of which says how bright its frame is and nothing else; sorted, to be the same in any order."""
    levels = np.sort(brightness(clips), axis=1)
    tokens = np.stack([levels, levels**2, -levels, np.ones_like(levels)], axis=-1)
    return tokens.mean(1), tokens


def with_static_positions(clips):
    """As `frame_by_frame`, in the order of time and with a mark of the time, as an untrained encoder has it."""
    levels = brightness(clips)
    times = np.broadcast_to(np.eye(4, dtype="f4"), (len(clips), 4, 4))
    tokens = np.concatenate([0 * levels[..., None], times], axis=-1)
    return tokens.mean(1), tokens


@pytest.mark.parametrize(
    ("encoded", "least", "most"),
    [(from_frame_to_frame, 0.95, 1), (frame_by_frame, 0.5, 0.5), (with_static_positions, 0.5, 0.5)],
)
def test_order_is_told_by_features_that_know_it(encoded, least, most):
    features = FeatureFigures(encoded, rising(48), None, times=4, batch_size=20, attentive_steps=150)
    assert [sign.key for sign in features.signs] == ["probe_order"]
    assert least <= features.figures(never)["probe_order"] <= most


def test_classes_are_asked_for_where_they_are_numbered_with_gaps():
    clips, labels = clips_of_two_kinds(32)

    def encoded(batch):
        levels = brightness(batch)
        tokens = np.stack([levels, np.ones_like(levels), np.zeros_like(levels)], axis=-1)
        return tokens.mean(1), tokens

    features = FeatureFigures(encoded, clips, 7 * labels + 3, times=4, batch_size=8, attentive_steps=60)
    assert (features.num_clips, features.num_classes) == (32, 2)
    assert features.figures(never)["probe_attentive_top1"] == 1


def test_a_look_is_given_up_between_batches_and_between_updates():
    calls = []

    def check():
        calls.append(None)
        if len(calls) == 10:
            raise Interrupted(15, "")

    features = FeatureFigures(from_frame_to_frame, rising(32), None, times=4, batch_size=8, attentive_steps=50)
    with pytest.raises(Interrupted):
        features.figures(check)
    assert len(calls) == 10  # eight batches of clips and twins, then updates
