import numpy as np
import pytest
from tiny import tiny_pretrainer

from mae.engines.engine import Setup
from mae.engines.start import start_engine
from mae.errors import BadVideo
from mae.evaluation.features import encode, pool
from mae.evaluation.probes.knn import leave_one_out_knn
from mae.evaluation.probes.spread import feature_spread
from mae.patches import normalise
from mae.pretraining.periodic_probe import FeatureFigures, readable_clips, spread_evenly
from mae.signals import never


def clips_of_two_kinds(count):
    """Dark and bright noise: any encoder tells them apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    return (rng.integers(0, 60, (count, 4, 16, 16, 3)) + 180 * labels[:, None, None, None, None]).astype("u1"), labels


def pooled_by(model):
    return start_engine(Setup("single")).inference(model, lambda videos: pool(model, encode(model, videos)))


def test_figures_are_those_of_the_features():
    model = tiny_pretrainer()
    clips, labels = clips_of_two_kinds(10)
    made = FeatureFigures(pooled_by(model), clips, labels, batch_size=4).figures(never)
    features = np.asarray(encode(model, normalise((clips / 255).astype("f4"), 3))).mean(1)
    spread = feature_spread(features)
    assert made["feature_rank"] == pytest.approx(spread.rank, rel=1e-3)
    assert made["feature_std"] == pytest.approx(spread.std, rel=1e-3)
    votes = leave_one_out_knn(features, labels, 2, k=4)
    assert made["probe_top1"] == (votes.argmax(1) == labels).mean() == 1
    assert FeatureFigures(pooled_by(model), clips, None, 4).figures(never).keys() == {"feature_rank", "feature_std"}


def test_figures_follow_the_weights():
    model = tiny_pretrainer()
    clips, labels = clips_of_two_kinds(6)
    probe = FeatureFigures(pooled_by(model), clips, labels, 6)
    before = probe.figures(never)
    for variable in model.encoder.trainable_variables:
        variable.assign(variable * 0)
    after = probe.figures(never)
    assert after["feature_std"] == 0
    assert before["feature_std"] > 0


def test_places_are_spread_over_classes_and_list():
    assert spread_evenly(None, 100, 4) == [0, 25, 50, 75]
    assert spread_evenly(None, 2, 4) == [0, 1]
    labels = [0] * 8 + [1] * 4 + [5]
    assert spread_evenly(labels, 13, 12) == [0, 2, 4, 6, 8, 9, 10, 11, 12]
    many = np.arange(4000) % 400
    chosen = many[spread_evenly(many, 4000, 64)]
    assert (np.bincount(chosen)[np.unique(chosen)] == 4).all()
    assert len(np.unique(chosen)) == 16


def test_only_readable_clips():
    def read(index):
        if index % 2:
            raise BadVideo("odd")
        return np.full((1, 2, 2, 3), index, "u1")

    clips, kept = readable_clips(read, [0, 1, 4])
    assert kept == [0, 4]
    assert clips[:, 0, 0, 0, 0].tolist() == [0, 4]
    with pytest.raises(BadVideo, match="odd"):
        readable_clips(read, [1, 3])
