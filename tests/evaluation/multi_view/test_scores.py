import numpy as np
import pytest

from mae.errors import ConfigError, TrainingStopped
from mae.evaluation.multi_view.scores import ViewScores

SHAPE = (5, 2, 3)
IDENTITY = {"checkpoint": "aa", "list": "bb", "views": "2×1"}
LOGITS = np.random.default_rng(0).normal(size=SHAPE).astype("f4")
PLACES = np.stack(np.meshgrid(range(5), range(2), indexing="ij"), -1).reshape(-1, 2)


def fill(scores, indices, valid=None):
    videos, views = np.asarray(indices).T
    scores.add(videos, views, LOGITS[videos, views], valid)


def expected_means():
    exponentials = np.exp(LOGITS.astype("f8"))
    return (exponentials / exponentials.sum(-1, keepdims=True)).mean(1)


@pytest.mark.parametrize("order", [np.arange(10), np.random.default_rng(1).permutation(10)])
def test_mean_of_the_views_softmaxes_in_any_order(order):
    scores = ViewScores(None, SHAPE)
    for batch in np.array_split(order, 3):
        fill(scores, PLACES[batch])
    means, evaluated = scores.video_means()
    np.testing.assert_allclose(means, expected_means(), atol=1e-6)
    assert evaluated.all()
    assert len(scores.missing()) == 0


def test_padding_and_repeats_count_for_nothing():
    scores = ViewScores(None, SHAPE)
    fill(scores, PLACES)
    scores.add(np.array([0, 0]), np.array([0, 1]), np.array([[9.0, 0, 0], [np.nan, 0, 0]]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(scores.video_means()[0], expected_means(), atol=1e-6)


def test_an_interrupted_test_goes_on(tmp_path):
    first = ViewScores(tmp_path / "scores", SHAPE, IDENTITY)
    fill(first, PLACES[:4])
    first.fail(4, "no frame decodes")
    first.save()
    first.save()  # nothing new: nothing written
    fill(first, PLACES[4:5])  # never saved: lost
    again = ViewScores(tmp_path / "scores", SHAPE, IDENTITY)
    assert again.missing().tolist() == [[2, 0], [2, 1], [3, 0], [3, 1]]
    assert again.failed == {4: "no frame decodes"}
    fill(again, again.missing())
    again.save()
    assert len(list((tmp_path / "scores").glob("*.npz"))) == 2
    last = ViewScores(tmp_path / "scores", SHAPE, IDENTITY)
    means, evaluated = last.video_means()
    np.testing.assert_allclose(means[:4], expected_means()[:4], atol=1e-6)
    assert evaluated.tolist() == [True, True, True, True, False]
    assert (means[4] == 0).all()
    by_view, kept = last.by_view(), np.repeat(evaluated, SHAPE[1])
    assert by_view.shape == (10, 3)
    assert kept.sum() == 8
    last.discard()
    assert not (tmp_path / "scores").exists()


def test_two_processes_share_a_directory(tmp_path):
    writers = [ViewScores(tmp_path, SHAPE, IDENTITY, writer=i) for i in range(2)]
    for i, scores in enumerate(writers):
        fill(scores, PLACES[i::2])
        scores.save()
    np.testing.assert_allclose(ViewScores(tmp_path, SHAPE, IDENTITY).video_means()[0], expected_means(), atol=1e-6)


@pytest.mark.parametrize("change", [{"checkpoint": "other"}, {"list": "other"}, {"views": "5×3"}])
def test_scores_of_something_else_are_refused(change, tmp_path):
    ViewScores(tmp_path, SHAPE, IDENTITY)
    name, value = next(iter(change.items()))
    with pytest.raises(ConfigError, match=f"interrupted test of something else .{name} {IDENTITY[name]} → {value}"):
        ViewScores(tmp_path, SHAPE, {**IDENTITY, **change})
    with pytest.raises(ConfigError, match="shape 5×2×3 → 6×2×3"):
        ViewScores(tmp_path, (6, 2, 3), IDENTITY)


def test_damaged_files_are_named(tmp_path):
    scores = ViewScores(tmp_path, SHAPE, IDENTITY)
    fill(scores, PLACES[:1])
    scores.save()
    path = next(tmp_path.glob("*.npz"))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ConfigError, match=r"is damaged .*: remove it"):
        ViewScores(tmp_path, SHAPE, IDENTITY)
    path.write_text("no arrays")
    with pytest.raises(ConfigError, match=r"is damaged \(it is no file of plain arrays\): remove it"):
        ViewScores(tmp_path, SHAPE, IDENTITY)
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(ConfigError, match=r"identity.json is damaged"):
        ViewScores(tmp_path, SHAPE, IDENTITY)


def test_outputs_that_are_not_finite_stop():
    with pytest.raises(TrainingStopped, match="not finite"):
        ViewScores(None, SHAPE).add(np.array([0]), np.array([0]), np.array([[np.nan, 0, 0]]))


def test_no_figures_before_all_views_are_there():
    scores = ViewScores(None, SHAPE)
    fill(scores, PLACES[:9])
    with pytest.raises(ValueError, match="1 views are missing, the first: view 1 of 4"):
        scores.video_means()
