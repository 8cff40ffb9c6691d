import csv
import json

import cv2
import numpy as np
import pytest

from mae.errors import ConfigError
from mae.evaluation.multi_view.confusion import cell_size, colours, confusion_picture
from mae.evaluation.multi_view.report import write_report
from mae.evaluation.multi_view.scores import ViewScores
from mae.evaluation.tasks.task import Evaluated

VIDEOS = ("a.mp4", "b c.mp4", "broken.mp4", "ü,\udcff.mp4")


@pytest.fixture
def scores():
    scores = ViewScores(None, (4, 2, 3))
    probabilities = np.array(
        [
            [[0.8, 0.1, 0.1], [0.6, 0.2, 0.2]],
            [[0.5, 0.05, 0.45], [0.05, 0.5, 0.45]],  # each view has another favourite, their mean a third
            [[0.4, 0.3, 0.3], [0.4, 0.3, 0.3]],
            [[0.1, 0.1, 0.8], [0.1, 0.6, 0.3]],
        ]
    )
    for video in range(4):
        scores.add(np.full(2, video), np.arange(2), np.log(probabilities[video]))
    scores.fail(2, "no frame decodes")
    return scores


def evaluated(**changes):
    values = {
        "videos": VIDEOS,
        "labels": (0, 2, 1, 1),
        "class_names": ("run", "sit", "turn, left"),
        "views": {"clips": 2, "crops": 1},
        "list_hash": "11",
        "checkpoint": "run/step.npz",
        "checkpoint_hash": "22",
    }
    return Evaluated(**{**values, **changes})


def test_what_is_written(scores, tmp_path):
    content = write_report(tmp_path, evaluated(), scores)
    written = json.loads((tmp_path / "test.json").read_text())
    assert written == content
    # Right: the first two; the third failed; the fourth is taken for 2 (0.55 against 0.35).
    assert written["top1"] == 0.5
    assert written["top1_of_evaluated"] == pytest.approx(2 / 3)
    assert written["top5"] == 0.75
    assert written["top5_is_top"] == 3
    # Views: two of the first video, none of the second, one of the fourth.
    assert written["top1_of_single_views"] == 3 / 6
    assert written["videos"] == {"listed": 4, "evaluated": 3, "failed": 1}
    assert written["views"] == {"clips": 2, "crops": 1}
    assert (written["list_hash"], written["checkpoint_hash"]) == ("11", "22")
    assert written["per_class"] == {"run": 1.0, "sit": 0.0, "turn, left": 1.0}
    assert {"python", "tensorflow", "keras", "numpy"} <= written["versions"].keys()
    with (tmp_path / "predictions.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == list(VIDEOS)
    assert rows[1] == {
        "video": "b c.mp4",
        "label": "turn, left",
        "predicted": "turn, left",
        "probability": "0.450000",
        "top5": "turn, left|run|sit",
        "status": "ok",
        "reason": "",
    }
    assert (rows[2]["predicted"], rows[2]["status"], rows[2]["reason"]) == ("", "failed", "no frame decodes")
    assert cv2.imread(str(tmp_path / "confusion.png")).shape[2] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusion.png", "predictions.csv", "test.json"]


def test_classes_of_one_name_stay_apart(scores, tmp_path):
    content = write_report(tmp_path, evaluated(class_names=("run", "sit", "run")), scores)
    assert content["per_class"] == {"run (0)": 1.0, "sit": 0.0, "run (2)": 1.0}


def test_a_list_of_other_classes_writes_nothing(scores, tmp_path):
    with pytest.raises(ConfigError, match="label 7"):
        write_report(tmp_path, evaluated(labels=(0, 7, 1, 1)), scores)
    assert list(tmp_path.iterdir()) == []


def test_colours_are_shares_of_the_row():
    made = colours(np.array([[4, 0, 0], [25, 75, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(made[0, 0], (24, 78, 160))
    np.testing.assert_array_equal(made[0, 1], (255, 255, 255))
    # A quarter: half way to red.
    np.testing.assert_allclose(made[1, 0], (222, 142, 142), atol=1)
    np.testing.assert_array_equal(made[2], np.full((3, 3), 228))


@pytest.mark.parametrize("classes", [2, 51, 174, 400, 2000])
def test_pictures_of_few_and_of_many_classes_stay_small(classes):
    confusion = 10 * np.eye(classes, dtype=int)
    confusion[0] = [0] * (classes - 1) + [5]
    picture = confusion_picture(confusion, [f"a class of the name {i} é" for i in range(classes)])
    assert picture.dtype == np.uint8
    # Every class has its place: the only red row is the first, at the far right.
    red = np.argwhere((picture == (190, 30, 30)).all(-1))
    blue = np.argwhere((picture == (24, 78, 160)).all(-1))
    assert len(red) >= max(cell_size(classes) - 2, 1) ** 2 // 2
    assert red[:, 0].max() < blue[:, 0].min()
    assert red[:, 1].min() > blue[:, 1].max() - cell_size(classes)
    assert max(picture.shape) < 2700


def test_a_perfect_model():
    assert confusion_picture(np.eye(3, dtype=int), ["a", "b", "c"]).shape[0] > 100
