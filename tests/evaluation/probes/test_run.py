"""Probes on hand-made features of two lists: what they are trained on, what they count."""

import numpy as np
import pytest

from mae.errors import ConfigError
from mae.evaluation.probes.config import ProbeConfig
from mae.evaluation.probes.fitting import Rows
from mae.evaluation.probes.frozen_features import Features
from mae.evaluation.probes.report import Probed, probe_content, probe_table
from mae.evaluation.probes.run import Labelled, Repetition, few_of_each_class, probe_figures, repetitions, used

SETTINGS = {
    "kinds": ["linear", "attentive", "knn"], "labels_per_class": None, "seeds": 1, "neighbours": 3,
    "linear_epochs": 1, "linear_steps": 30, "attentive_epochs": 1, "attentive_steps": 60,
    "attentive_learning_rate": 1e-2, "token_dtype": "float16", "sampler": None,
}  # fmt: skip
CLASSES = 4


def settings(**changes):
    return ProbeConfig(**{**SETTINGS, **changes})


def labelled(count, seed, tells=True, failed=()):
    """Five tokens of eight values; where they tell the class it is in the sign of two dimensions, nearly."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    tokens = 0.1 * rng.normal(size=(count, 5, 8))
    if tells:
        tokens[:, :, 0] += 2 * (labels[:, None] % 2) - 1
        tokens[:, :, 1] += 2 * (labels[:, None] // 2) - 1
    there = np.ones(count, bool)
    there[list(failed)] = False
    tokens[list(failed)] = np.nan  # whoever looks at them is found out
    reasons = dict.fromkeys(failed, "no frame decodes")
    return Labelled(Features(tokens.mean(1).astype("f4"), tokens.astype("f2"), there, reasons), labels)


def figures_of(config, train, test, seed=0):
    draws = repetitions(config, train.labels, seed)
    return dict(probe_figures(config, train, test, CLASSES, draws)), draws


def test_every_kind_finds_what_is_there_and_unreadable_videos_count_as_wrong():
    train, test = labelled(40, 0, failed=(1, 7)), labelled(20, 1, failed=(4,))
    figures, draws = figures_of(settings(), train, test)
    assert list(figures) == ["linear", "attentive", "knn"]
    for kind, (only,) in figures.items():
        assert (only.listed, only.evaluated, only.top1_evaluated) == (20, 19, 1), kind
        assert only.top1 == pytest.approx(19 / 20)
    assert used(train, draws[0]).tolist() == [index for index in range(40) if index not in (1, 7)]


def test_what_is_not_there_is_not_found():
    figures, _ = figures_of(settings(), labelled(80, 0, tells=False), labelled(200, 1, tells=False))
    for kind, (only,) in figures.items():
        assert abs(only.top1 - 1 / CLASSES) < 0.13, kind  # four deviations of 200 guesses


def test_repetitions_are_those_of_what_is_random():
    train, test = labelled(40, 0), labelled(20, 1)
    figures, draws = figures_of(settings(kinds=["linear", "knn"], seeds=3, linear_steps=2), train, test)
    assert {kind: len(each) for kind, each in figures.items()} == {"linear": 3, "knn": 1}
    assert len({draw.seed for draw in draws}) == 3
    few, draws = figures_of(settings(kinds=["knn"], seeds=3, labels_per_class=2), train, test)
    assert len(few["knn"]) == 3
    assert len({tuple(draw.indices) for draw in draws}) == 3


def test_few_labels_are_so_many_of_each_class_and_the_same_for_a_seed():
    labels = np.array([0] * 10 + [1] * 3 + [2] * 7 + [0] * 5)
    indices = few_of_each_class(labels, 4, seed=3)
    assert np.bincount(labels[indices]).tolist() == [4, 3, 4]  # class 1 has no more
    assert indices.tolist() == sorted(set(indices))
    np.testing.assert_array_equal(indices, few_of_each_class(labels, 4, seed=3))
    assert indices.tolist() != few_of_each_class(labels, 4, seed=4).tolist()
    assert set(few_of_each_class(labels, 2, seed=3)) < set(indices)
    assert few_of_each_class(labels, None, seed=3).tolist() == list(range(25))


def test_nothing_to_train_or_to_test_on():
    everything = tuple(range(8))
    for train, test, what in (
        (labelled(8, 0, failed=everything), labelled(8, 1), "train the probes on"),
        (labelled(8, 0), labelled(8, 1, failed=everything), "test them on"),
    ):
        with pytest.raises(ConfigError, match=f"none of the videos to {what} can be read; the first: no frame decodes"):
            figures_of(settings(kinds=["knn"]), train, test)
    unlucky = [Repetition(0, np.array([2]))]
    with pytest.raises(ConfigError, match="train the probes on"):
        dict(probe_figures(settings(), labelled(8, 0, failed=(2,)), labelled(8, 1), CLASSES, unlucky))


def test_rows_are_those_of_the_array():
    array = np.arange(24).reshape(6, 2, 2)
    rows = Rows(array, np.array([4, 0, 5]))
    assert (len(rows), rows.shape) == (3, (3, 2, 2))
    np.testing.assert_array_equal(rows[:2], array[[4, 0]])
    np.testing.assert_array_equal(rows[np.array([0, 2])], array[[4, 5]])


def test_a_report_says_means_deviations_and_what_failed():
    """Three repetitions of an imaginary probe, right for 1, 2 and 3 of 4 videos: mean 1/2, deviation 1/4."""
    from mae.evaluation.metrics import video_figures

    train, test = labelled(8, 0, failed=(3,)), labelled(4, 1)
    config = settings(kinds=["linear"], labels_per_class=1, seeds=3)
    draws = [Repetition(0, np.array(indices)) for indices in ([0, 1, 2, 3], [4, 5, 6, 7], [0, 5, 6, 7])]
    figures = []
    for right in (1, 2, 3):
        said = np.where(np.arange(4) < right, test.labels, (test.labels + 1) % CLASSES)
        figures.append(video_figures(np.eye(CLASSES)[said], test.features.there, test.labels))
    paths = [f"{number}.mp4" for number in range(8)]
    probed = Probed(config, 5, {"num_frames": 4}, paths, "11", paths[:4], "22", "run/step.npz", "33")
    content = probe_content(probed, train, test, draws, {"linear": figures})
    shares = content["probes"]["linear"]
    assert (shares["top1"], shares["top1_std"], shares["top1_of_each"]) == (0.5, 0.25, [0.25, 0.5, 0.75])
    assert (content["top1_of_one_class"], content["top5_is_top"]) == (0.25, 4)
    assert content["videos"] == {"listed": 4, "evaluated": 4, "failed": 0}
    assert content["training"]["videos"] == {"listed": 8, "labels_per_class": 1, "used": 3, "failed": 1}
    assert content["failed"] == {"training": {"3.mp4": "no frame decodes"}, "test": {}}
    hashes = ("checkpoint_hash", "list_hash")
    assert [content[name] for name in hashes] + [content["training"]["list_hash"]] == ["33", "22", "11"]
    assert content["settings"]["seed"] == 5
    table = probe_table(content, "folder")
    assert "top-1 50.00 ± 25.00 %" in table
    assert "8 listed, 3 used, at most 1 of a class, 1 FAILED and left out" in table
