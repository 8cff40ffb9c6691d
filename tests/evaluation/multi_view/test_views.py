import threading

import numpy as np
import pytest

from mae.data.read_ahead import read_ahead
from mae.errors import BadVideo, Interrupted
from mae.evaluation.multi_view.scores import ViewScores
from mae.evaluation.multi_view.views import run_views

SHAPE = (7, 3, 4)


def read(video):
    if video == 5:
        raise BadVideo("no frame decodes")
    return np.stack([np.full((1, 2, 2, 3), 10 * video + view, np.uint8) for view in range(3)])


def logits(clips):
    value = clips[:, 0, 0, 0, 0].astype("f4")
    return np.stack([np.sin(value * k) for k in range(1, 5)], axis=1)


def expected():
    value = 10 * np.arange(7)[:, None] + np.arange(3)
    scores = np.exp(np.stack([np.sin(value * k) for k in range(1, 5)], axis=2))
    return (scores / scores.sum(2, keepdims=True)).mean(1)


@pytest.mark.parametrize("batch_size", [1, 4, 50])
def test_every_view_of_every_video_once(batch_size):
    seen = []

    def noted(clips):
        assert len(clips) == batch_size
        seen.extend(clips[:, 0, 0, 0, 0].tolist())
        return logits(clips)

    scores = ViewScores(None, SHAPE)
    run_views(scores, read, noted, batch_size)
    means, evaluated = scores.video_means()
    assert evaluated.tolist() == [True] * 5 + [False, True]
    np.testing.assert_allclose(means[evaluated], expected()[evaluated], atol=1e-5)
    assert scores.failed == {5: "no frame decodes"}
    assert sorted(set(seen)) == [10 * v + view for v in range(7) if v != 5 for view in range(3)]


def test_an_interrupted_test_goes_on_without_reading_what_is_done(tmp_path):
    def interrupt(done, total):
        assert total == 21
        if done == 8:
            raise Interrupted(15, "stopped")

    with pytest.raises(Interrupted):
        run_views(ViewScores(tmp_path, SHAPE), read, logits, 4, save_every=1000, check=interrupt)
    again = ViewScores(tmp_path, SHAPE)
    assert again.missing()[0].tolist() == [2, 2]
    asked = []
    run_views(again, lambda video: asked.append(video) or read(video), logits, 4)
    assert sorted(asked) == [2, 3, 4, 5, 6]
    np.testing.assert_allclose(ViewScores(tmp_path, SHAPE).video_means()[0][:5], expected()[:5], atol=1e-5)


def test_results_come_in_order_and_few_are_read_ahead():
    started, release = [], threading.Event()

    def slow(item):
        started.append(item)
        if item == 0:
            release.wait(5)
        if item == 3:
            raise BadVideo("three")
        return item * item

    reading = read_ahead(range(10), slow, workers=2)
    threading.Timer(0.05, release.set).start()
    assert next(reading) == (0, 0)
    assert max(started) <= 3
    rest = list(reading)
    assert [item for item, _ in rest] == list(range(1, 10))
    assert str(rest[2][1]) == "three"
    assert rest[-1] == (9, 81)


def test_other_errors_are_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        list(read_ahead([1, 0], lambda x: 1 // x))
