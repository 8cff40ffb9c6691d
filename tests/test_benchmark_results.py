"""The figures in the documents are those of the committed result files."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)  # as Python does for a script
    spec = importlib.util.spec_from_file_location("results", BENCHMARKS / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "representation", raising=False)
    return module


def test_documents_show_the_figures_of_the_result_files(results, capsys):
    assert results.main(is_check=True) == 0, capsys.readouterr().out


def test_every_result_file_is_shown_and_says_where_it_is_from(results):
    marks = [mark for path in results.DOCUMENTS for mark in re.findall("<!-- figures: (.+) -->", path.read_text())]
    shown = {word for mark in marks for word in mark.split()[1:] if word.endswith(".json")}
    assert shown == {path.name for path in results.RESULTS.iterdir()}
    for name in shown:
        told = json.loads((results.RESULTS / name).read_text())
        if "datasets" not in told:  # those of benchmarks/representation.py say it in their own way
            assert told["source"] in ("measured", "transcribed")
            assert told["command"].startswith("python ")
            assert told["machine"]
            assert told["versions"]


def test_a_table_is_written_anew_and_an_other_one_is_told(results, monkeypatch, tmp_path, capsys):
    marks = "<!-- figures: pipeline data.json -->\n{}<!-- /figures -->\n"
    page = tmp_path / "page.md"
    page.write_text(f"before\n{marks.format('old')}after\n")
    figures = {"pipeline": {"packed": {"1 core": 100.04, "2 cores": 150, "ratio": 1.5}}}
    (tmp_path / "data.json").write_text(json.dumps({"figures": figures}))
    for name, value in {"ROOT": tmp_path, "RESULTS": tmp_path, "DOCUMENTS": [page]}.items():
        monkeypatch.setattr(results, name, value)
    assert results.main(is_check=True) == 1
    assert capsys.readouterr().out == "page.md: figures are not those of the result files\n"
    assert results.main(is_check=False) == 0
    table = "| clips/s | one core | two cores | ratio |\n|---|---|---|---|\n| packed | 100.0 | 150.0 | 1.50 |"
    assert page.read_text() == f"before\n{marks.format(f'{chr(10)}{table}{chr(10)}{chr(10)}')}after\n"
    assert results.main(is_check=True) == 0


def test_a_figure_in_a_sentence_is_that_of_its_file(results, monkeypatch, tmp_path):
    figures = {"jax": {"clips/s": [4.0, 5.0]}, "peer": {"clips/s": [8]}}
    (tmp_path / "step.json").write_text(json.dumps({"figures": figures}))
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    share = "<!-- figure: .0% step.json figures:jax:clips/s:0 over figures:peer:clips/s:0 -->"
    alone = "<!-- figure: .2f step.json figures:jax:clips/s -->"
    text = f"It makes 1.25{alone} clips/s, 7{share} % of 8.\n"
    assert results.with_figures(text) == f"It makes 4.50{alone} clips/s, 50{share} % of 8.\n"
    with pytest.raises(KeyError):
        results.with_figures("1<!-- figure: .2f step.json figures:torch -->")


def test_files_of_the_benchmark_of_pre_training_are_shown_as_it_prints_them(results, monkeypatch, tmp_path):
    rows = {"not pre-trained": {"attentive": [20.0]}, "pre-trained": {"attentive": [40.0, 50.0]}}
    (tmp_path / "motion.json").write_text(json.dumps({"labels": 50, "datasets": {"motion_order": rows}}))
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    *_, last = results.rendered("representation motion.json motion_order").splitlines()
    assert last == "| pre-trained | 45.0 ± 7.1 | +25.0 |  |  |  |  |"


def test_what_pre_training_brings_is_a_line_for_each_set(results, monkeypatch, tmp_path):
    kinds = ("attentive", "linear", "knn", "whole")
    rows = {"pre-trained": {kind: [40.0, 50.0] for kind in kinds}, "not pre-trained": {kind: [20.0] for kind in kinds}}
    (tmp_path / "motion.json").write_text(json.dumps({"datasets": {"motion_order": rows}}))
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    heading, _, line = results.rendered("pre-trained-or-not motion.json").splitlines()
    assert heading == "| top-1 %, pre-trained / not | attentive probe | linear | k-NN | whole model |"
    assert line == f"| `motion_order` | {' | '.join(['45.0 / 20.0'] * 4)} |"


def test_what_a_benchmark_writes_says_how_it_was_measured(results, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmarks/data.py"])
    results.write_result(tmp_path / "r.json", ["--video", "a b.mp4"], {"clips": {}}, options={"rounds": 1})
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["command"] == "python benchmarks/data.py --video 'a b.mp4'"
    assert (told["source"], told["options"], told["figures"]) == ("measured", {"rounds": 1}, {"clips": {}})
    assert told["versions"].keys() >= {"python", "keras", "numpy"}
    assert re.match(r"\d+-core \w+ machine", told["machine"])
