import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from patience import PATIENCE
from run_directories import CLASSES, make_finetuning, make_pretraining, make_probe

from mae.errors import ConfigError
from mae.evaluation.probes.looked_at import MOST, LookedAt
from mae.report.__main__ import main, report
from mae.report.at_end import leave_report
from mae.report.confused import worst_pairs
from mae.report.neighbours import nearest, on_a_map
from mae.report.page import page_content
from mae.report.run_files import RunFiles


class Elements(HTMLParser):
    """Every element with its attributes, and that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def ids(text):
    return [attributes["id"] for _, attributes in Elements(text).elements if "id" in attributes]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Text of the report of a pre-training."""
    run = make_pretraining(tmp_path_factory.mktemp("page") / "my_run")
    assert re.fullmatch(rf"{run}/report\.html: \d+\.\d MB", report([str(run)], None))
    return (run / "report.html").read_text()


def test_a_page_is_whole_and_asks_nobody_for_anything(page):
    parsed = Elements(page)
    assert parsed.open == []
    for tag, attributes in parsed.elements:
        assert tag != "script"
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    assert len(ids(page)) == len(set(ids(page)))


def test_curves_are_drawn_of_what_was_recorded(page):
    found = {name for name in ids(page) if name.startswith("curve-")}
    fields = "loss fixed_batch_loss trivial_loss psnr probe_top1 feature_rank learning_rate weight_decay grad_norm"
    fields += " param_norm clips_per_second model_flops_share host_memory_gb decode_ms decoders_busy short_clips"
    fields += " something_new"  # nothing was unreadable, no step was skipped
    assert found == {f"curve-{field}-0" for field in fields.split()}
    assert {"area-computing-0", "area-waiting-0", "area-other-0"} <= set(ids(page))


def test_figures_are_those_of_the_files(page):
    text = re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL))
    for told in (
        "steps 40",
        "training loss 0.6000",
        "loss of who always says the average 0.9000",
        "k-NN top-1 of frozen features 75.00 %",
        "time of the logged steps 20s",  # 40 steps of half a second
        "Start 2 was told steps: 20 → 40",
        "python pretrain.py dataset=mine",
        "/videos/broken.mp4: no video stream",
    ):
        assert told in text
    assert page.count("cannot be read</div>") > 0  # videos that are gone
    assert page.count('<img class="own-size"') == 2


def test_what_a_class_is_called_is_text_and_no_markup(tmp_path):
    run = make_finetuning(tmp_path / "run")
    report([str(run)], None)
    text = (run / "report.html").read_text()
    assert "<b>jump</b>" not in text
    assert "&lt;b&gt;jump&lt;/b&gt; &amp; &#39;hop&#39;" in text
    assert Elements(text).open == []


def test_a_test_shows_what_was_confused(tmp_path):
    content = page_content([RunFiles(make_finetuning(tmp_path / "run"))])
    (test,) = content["tests"]
    ((pair, videos),) = test["pairs"]
    assert (pair.label, pair.predicted, pair.count, pair.of) == (CLASSES[1], CLASSES[2], 2, 4)
    assert [shown.caption for shown in videos] == ["5.avi", "7.avi"]
    assert all(shown.picture.startswith("data:image/jpeg;base64,") for shown in videos)
    assert ("test top-1", ["66.67 %"]) in content["figures"]
    assert ("test videos", ["8 of 9"]) in content["figures"]


def test_a_probe_shows_its_figures_and_features(tmp_path):
    content = page_content([RunFiles(make_probe(tmp_path / "run"))])
    assert content["probes"] == [
        (
            "run",
            [
                ["linear", "62.50 %", "90.00 %", "60.00 %"],
                ["knn", "50.00 %", "90.00 %", "60.00 %"],
                ["always the most frequent class", "12.50 %", "–", "–"],
            ],
        )
    ]
    assert [section.title for section in content["sections"]] == ["Figures", "Features", "Probes", "Settings"]


def test_several_runs_stand_beside_each_other(tmp_path):
    runs = [make_pretraining(tmp_path / "a"), make_pretraining(tmp_path / "b", 2e-3), make_finetuning(tmp_path / "c")]
    report([str(run) for run in runs], str(tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text()
    assert {"curve-loss-0", "curve-loss-1", "curve-loss-2", "curve-val_top1-2"} <= set(ids(text))
    assert len(ids(text)) == len(set(ids(text)))
    content = page_content([RunFiles(run) for run in runs])
    assert ("learning_rate", [1e-3, 2e-3, 5e-4]) in content["differing"]
    assert ("kind", ["pre-training", "pre-training", "fine-tuning"]) in content["figures"]
    assert ("training loss", ["0.6000", "0.6000", "0.3333"]) in content["figures"]


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    runs = [make_pretraining(tmp_path / where / "run") for where in ("x", "y")]
    assert [run.name for run in page_content([RunFiles(run) for run in runs])["runs"]] == ["x/run", "y/run"]


def test_nearest_neighbours_are_of_the_same_group(tmp_path):
    looked_at = RunFiles(make_pretraining(tmp_path / "run")).looked_at
    found = nearest(looked_at)
    assert len(found) == 5
    for query, others in found:
        assert len(others) == 6
        assert all(other.has_same_label and other.index % 3 == query % 3 for other in others)
        similarities = [other.similarity for other in others]
        assert similarities == sorted(similarities, reverse=True)
        assert similarities[-1] > 0.9


@pytest.mark.parametrize("count", [2, 3, 24])
def test_any_number_of_clips_has_a_map(count):
    rng = np.random.default_rng(0)
    points, _ = on_a_map(rng.normal(size=(count, 8)))
    assert points.shape == (count, 2)
    assert np.isfinite(points).all()


def test_groups_stay_together_on_the_map():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    points, how = on_a_map(20 * np.eye(8)[labels] + rng.normal(size=(60, 8)))
    assert how == "t-SNE"
    centres = np.stack([points[labels == label].mean(0) for label in range(3)])
    nearest_centre = np.linalg.norm(points[:, None] - centres, axis=-1).argmin(1)
    np.testing.assert_array_equal(nearest_centre, labels)


def test_pairs_are_counted_among_what_was_evaluated():
    rows = [{"video": str(i), "label": "a", "predicted": "b", "status": "ok"} for i in range(3)]
    rows += [{"video": "x", "label": "a", "predicted": "", "status": "failed"}]
    rows += [{"video": "y", "label": "b", "predicted": "a", "status": "ok"}]
    first, second = worst_pairs(rows)
    assert (first.label, first.predicted, first.count, first.of) == ("a", "b", 3, 3)
    assert (second.label, second.predicted, second.count, second.of) == ("b", "a", 1, 1)


def test_features_of_very_many_videos_are_thinned_evenly(tmp_path):
    count = 3 * MOST
    features = np.arange(count, dtype="float32")[:, None]
    LookedAt(features, [str(i) for i in range(count)], np.arange(count), None).write(tmp_path / "f.npz")
    read = LookedAt.read(tmp_path / "f.npz")
    assert len(read.videos) == MOST
    assert read.videos == [str(int(value)) for value in read.features[:, 0]]
    assert (read.label_of(0), read.label_of(MOST - 1)) == ("0", str(count - 1))


def test_a_run_that_has_not_logged_anything_yet(tmp_path):
    (tmp_path / "config.yaml").write_text("steps: 3\n")
    assert leave_report(tmp_path) == f"report: {tmp_path / 'report.html'}"
    assert Elements((tmp_path / "report.html").read_text()).open == []


@pytest.mark.parametrize("content", ["{", '{"top1": 1}'])
def test_a_damaged_file_costs_the_report_and_not_the_run(tmp_path, content):
    run = make_pretraining(tmp_path / "run")
    (run / "test.json").write_text(content)
    assert leave_report(run).startswith("warning: no report.html (")
    assert not (run / "report.html").exists()
    with pytest.raises(ConfigError, match=r"a file of .* is damaged"):
        report([str(run)], None)


def test_tests_of_labels_and_of_numbers(tmp_path):
    """A bar for each label that has a figure; predicted over true for each number."""
    runs = [make_finetuning(tmp_path / task) for task in ("multilabel", "regression")]
    contents = [json.loads((run / "test.json").read_text()) for run in runs]
    for content in contents:
        del content["top1"], content["top5"], content["mean_class_accuracy"], content["per_class"]
    labels = {"walk": {"average_precision": 0.5}, "run": {"average_precision": None}}
    contents[0] |= {"task": "multilabel", "mAP": 0.5, "per_label": labels}
    contents[1] |= {"task": "regression", "mae": 1.25, "r2": -0.5, "per_number": {"EF": {"mae": 1.25}}}
    rows = ["video,EF,predicted EF,status,reason", "a,50,51.5,ok,", "b,40,41,ok,", "c,30,,failed,no frame"]
    (runs[1] / "predictions.csv").write_text("\n".join(rows))
    for run, content in zip(runs, contents, strict=True):
        (run / "test.json").write_text(json.dumps(content))
        report([str(run)], None)
    pages = [(run / "report.html").read_text() for run in runs]
    assert "Average precision of each label, %" in pages[0]
    assert "test mAP" in pages[0]
    assert "EF: predicted over true" in pages[1]
    assert "1.25" in pages[1]
    assert "Most often confused" not in pages[0] + pages[1]


def test_without_the_libraries_it_says_which_and_how(tmp_path, monkeypatch):
    run = make_pretraining(tmp_path / "run")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "jinja2" else object())
    with pytest.raises(ConfigError, match=r"a report needs jinja2: pip install -e '\.\[report\]'"):
        report([str(run)], None)
    assert leave_report(run).startswith("no report.html: a report needs jinja2")


def test_mistakes_are_told(tmp_path):
    with pytest.raises(ConfigError, match="is no run directory"):
        report([str(tmp_path)], None)
    run = make_pretraining(tmp_path / "run")
    with pytest.raises(ConfigError, match="there is no directory"):
        report([str(run)], "no/such/page.html")
    with pytest.raises(ConfigError, match="runs= is missing"):
        main([])


def test_the_command_as_it_is_typed(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "mae.report", str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert ended.returncode == 2
    assert "no run directory" in ended.stderr
