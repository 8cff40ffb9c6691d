import numpy as np
import pytest

from mae.errors import ConfigError
from mae.evaluation.metrics import accuracy, softmax, top_classes, video_figures

# Six videos of three classes, the last one unreadable. Predicted: 0 1 1 2 0, of which 0, 1 and 3 are right.
PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.0, 0.0, 0.0]], "f4"
)
LABELS = [0, 1, 2, 2, 1, 0]
EVALUATED = np.array([1, 1, 1, 1, 1, 0], bool)


def test_figures_by_hand():
    figures = video_figures(PROBABILITIES, EVALUATED, LABELS)
    assert (figures.listed, figures.evaluated, figures.failed) == (6, 5, 1)
    assert figures.top1 == 3 / 6
    assert figures.top1_evaluated == 3 / 5
    # Three classes: all of them are among the top three.
    assert (figures.top_k, figures.top5, figures.top5_evaluated) == (3, 5 / 6, 1)
    assert figures.per_class == (1 / 2, 1 / 2, 1 / 2)
    assert figures.mean_class_accuracy == 1 / 2
    np.testing.assert_array_equal(figures.confusion, [[1, 0, 0], [1, 1, 0], [0, 1, 1]])


def test_top_five_of_seven():
    probabilities = np.tile(np.arange(7, 0, -1) / 28, (7, 1))
    figures = video_figures(probabilities, np.ones(7, bool), range(7))
    assert (figures.top_k, figures.top1, figures.top5) == (5, 1 / 7, 5 / 7)


def test_against_counting_one_by_one():
    rng = np.random.default_rng(0)
    probabilities, labels = softmax(rng.normal(size=(200, 9))), rng.integers(0, 8, 200)  # class 8 has no video
    evaluated = rng.random(200) < 0.9
    figures = video_figures(probabilities, evaluated, labels)
    rank = [int((row > row[label]).sum()) for row, label in zip(probabilities, labels, strict=True)]
    right = [bool(e) and r == 0 for e, r in zip(evaluated, rank, strict=True)]
    assert figures.top1 == sum(right) / 200
    assert figures.top5 == sum(bool(e) and r < 5 for e, r in zip(evaluated, rank, strict=True)) / 200
    for c in range(8):
        members = [r for r, label in zip(right, labels, strict=True) if label == c]
        assert figures.per_class[c] == pytest.approx(sum(members) / len(members))
    assert figures.per_class[8] is None
    assert figures.confusion.sum() == evaluated.sum()
    assert np.trace(figures.confusion) == sum(right)


def test_of_equal_probabilities_the_lower_class_is_first():
    np.testing.assert_array_equal(top_classes(np.full((1, 7), 0.5), 5), [[0, 1, 2, 3, 4]])


def test_nothing_evaluated():
    figures = video_figures(PROBABILITIES, np.zeros(6, bool), LABELS)
    assert (figures.top1, figures.top1_evaluated, figures.evaluated, figures.failed) == (0, 0, 0, 6)


@pytest.mark.parametrize(("label", "shown"), [(3, "label 3"), (-1, "label -1")])
def test_labels_the_model_does_not_have(label, shown):
    with pytest.raises(ConfigError, match=f"video 2 of the list has {shown}, and the model has the 3 classes"):
        video_figures(PROBABILITIES, EVALUATED, [0, label, 2, 2, 1, 0])


def test_accuracy_of_plain_arrays():
    assert accuracy(PROBABILITIES[:5], LABELS[:5]) == (3 / 5, 1)


def test_softmax_of_large_logits():
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0, 900.0]])), [[0.5, 0.5, 0]], atol=1e-7)
