"""Figures of each task by hand, and what a report of it leaves."""

import csv

import numpy as np
import pytest

from mae.errors import ConfigError
from mae.evaluation.multi_view.evaluator import report_table
from mae.evaluation.multi_view.report import write_report
from mae.evaluation.multi_view.scores import ViewScores
from mae.evaluation.tasks.classification import precision_and_recall
from mae.evaluation.tasks.multilabel import label_figures, sigmoid
from mae.evaluation.tasks.regression import number_figures
from mae.evaluation.tasks.table import TASKS
from mae.evaluation.tasks.task import Evaluated


def test_precision_and_recall_by_hand():
    """Class 0: two of three found, and two of the three that were taken for it; 3 has no video, 2 was never said."""
    labels, said = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 3])
    balanced, precision, recall = precision_and_recall(labels, said, 4)
    assert precision == [pytest.approx(2 / 3), 0.5, None, 0.0]
    assert recall == [pytest.approx(2 / 3), 0.5, 0.0, None]
    assert balanced == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    assert precision_and_recall(labels[:0], said[:0], 2) == (None, [None, None], [None, None])


def test_figures_of_labels_by_hand():
    scores = np.array([[0.9, 0.2, 0.1], [0.8, 0.6, 0.1], [0.3, 0.7, 0.9], [0.1, 0.4, 0.2]])
    truths = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 1, 0]])
    first, second, third = label_figures(scores, truths)
    # Ranked 0.9 (there), 0.8 (not), 0.3 (there): precision 1 and 2/3 at the two that are there.
    assert first["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert first["auroc"] == 3 / 4  # of the four pairs, 0.3 stands below 0.8
    assert (first["precision"], first["recall"], first["f1"]) == (0.5, 0.5, 0.5)
    assert (second["average_precision"], second["auroc"], second["f1"]) == (1, 1, pytest.approx(0.8))
    assert third == {
        "positives": 0, "average_precision": None, "auroc": None, "f1": None, "precision": None, "recall": None,
    }  # fmt: skip
    of_all = TASKS["multilabel"].validation(scores, np.ones(4, bool), truths)
    assert of_all == {
        "mAP": pytest.approx((5 / 6 + 1) / 2), "macro_f1": pytest.approx(0.65), "auroc": pytest.approx(7 / 8)
    }  # fmt: skip


def test_figures_of_numbers_by_hand():
    truths, said = np.array([[1.0, 5], [2, 5], [3, 5]]), np.array([[1.0, 5], [3, 6], [2, 5]])
    first, second = number_figures(said, truths)
    assert first["mae"] == pytest.approx(2 / 3)
    assert first["rmse"] == pytest.approx(np.sqrt(2 / 3))
    assert first["r2"] == pytest.approx(1 - 2 / 2)
    assert first["pearson"] == pytest.approx(0.5)
    assert (second["r2"], second["pearson"]) == (0, None)  # one number alone
    assert number_figures(said[:1], truths[:1])[0] == {"mae": 0, "rmse": 0, "r2": None, "pearson": None}
    assert number_figures(said[:0], truths[:0])[0] == dict.fromkeys(("mae", "rmse", "r2", "pearson"))


def test_sigmoid_has_no_overflow():
    np.testing.assert_allclose(sigmoid(np.array([-1000.0, 0, 1000])), [0, 0.5, 1])


def write(tmp_path, task, logits, labels, names):
    scores = ViewScores(None, (3, 2, len(names)), outputs=TASKS[task].outputs)
    for video in range(3):
        scores.add(np.full(2, video), np.arange(2), np.array(logits[video]))
    scores.fail(2, "no frame decodes")
    views = {"clips": 2, "crops": 1}
    evaluated = Evaluated(("a.mp4", "b.mp4", "c.mp4"), np.array(labels), names, views, "1", "run/step.npz", "2")
    content = write_report(tmp_path, evaluated, scores, TASKS[task])
    with (tmp_path / "predictions.csv").open() as file:
        return content, list(csv.DictReader(file)), report_table(content, tmp_path)


def test_a_report_of_labels(tmp_path):
    logits = [[[2.0, -2], [2, -2]], [[-1, 3], [-2, 3]], [[0, 0], [0, 0]]]
    content, rows, table = write(tmp_path, "multilabel", logits, [[1, 0], [1, 1], [1, 1]], ("walk", "run"))
    assert (content["task"], content["mAP"], content["auroc"]) == ("multilabel", 1, 1)
    assert content["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert content["videos"] == {"listed": 3, "evaluated": 2, "failed": 1}
    assert content["per_label"]["walk"]["positives"] == 2
    assert rows[1] == {
        "video": "b.mp4", "labels": "walk;run", "predicted": "run",
        "probability of walk": f"{(1 / (1 + np.e) + 1 / (1 + np.e**2)) / 2:.6f}",
        "probability of run": f"{1 / (1 + np.exp(-3)):.6f}", "status": "ok", "reason": "",
    }  # fmt: skip
    assert (rows[2]["predicted"], rows[2]["status"], rows[2]["reason"]) == ("", "failed", "no frame decodes")
    assert "left out" in table
    assert "mAP" in table
    assert not (tmp_path / "confusion.png").exists()


def test_a_report_of_numbers(tmp_path):
    logits = [[[50.0, 1], [52, 1]], [[40, 2], [40, 4]], [[0, 0], [0, 0]]]
    content, rows, table = write(tmp_path, "regression", logits, [[50.0, 1], [42, 3], [9, 9]], ("EF", "ESV"))
    assert content["per_number"]["EF"]["mae"] == pytest.approx(1.5)
    assert content["mae"] == pytest.approx(0.75)
    assert rows[0] == {
        "video": "a.mp4", "EF": "50", "predicted EF": "51", "ESV": "1", "predicted ESV": "1", "status": "ok",
        "reason": "",
    }  # fmt: skip
    assert (rows[2]["EF"], rows[2]["predicted EF"], rows[2]["status"]) == ("9", "", "failed")
    assert "MAE 1.5" in table


def test_a_report_of_classes_has_balanced_figures_as_well(tmp_path):
    logits = [[[2.0, 0], [2, 0]], [[2, 0], [2, 0]], [[0, 0], [0, 0]]]
    content, _, _ = write(tmp_path, "classification", logits, [0, 1, 1], ("x", "y"))
    assert (content["top1"], content["balanced_accuracy"]) == (pytest.approx(1 / 3), 0.5)
    assert content["recall_per_class"] == {"x": 1, "y": 0}
    assert content["precision_per_class"] == {"x": 0.5, "y": None}
    with pytest.raises(ConfigError, match="label 7"):
        write(tmp_path, "classification", logits, [0, 7, 1], ("x", "y"))
