import json
import math

import numpy as np
import pytest

from mae.monitoring.metrics import MetricsLog, read_metrics


def write_steps(path, steps):
    with MetricsLog(path) as log:
        for step in steps:
            log.write({"step": step, "loss": 1.0 / max(step, 1)})


def test_lines_are_plain_json_in_order(tmp_path):
    path = tmp_path / "new" / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.write({"step": np.int64(1), "loss": np.float32(0.5), "bad_clips": 0, "probe_top1": None})
        assert path.read_text() == '{"step": 1, "loss": 0.5, "bad_clips": 0, "probe_top1": null}\n', "not flushed"
        log.write({"step": 2, "loss": np.asarray(0.25), "note": "resumed", "done": np.bool_(True)})
    assert read_metrics(path)[1] == {"step": 2, "loss": 0.25, "note": "resumed", "done": True}


def test_a_tensor_is_written_as_its_number(tmp_path):
    class Tensor:  # what TensorFlow's and PyTorch's tensors of zero dimensions offer
        def __array__(self, dtype=None, copy=None):
            return np.asarray(0.75, np.float32)

    with MetricsLog(tmp_path / "m.jsonl") as log:
        log.write({"step": 1, "loss": Tensor()})
    assert read_metrics(tmp_path / "m.jsonl") == [{"step": 1, "loss": 0.75}]


def test_non_finite_values_stay_strict_json_and_come_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.write({"step": 1, "a": math.nan, "b": math.inf, "c": np.float32(-np.inf)})
    assert json.loads(path.read_text()) == {"step": 1, "a": "nan", "b": "inf", "c": "-inf"}
    (record,) = read_metrics(path)
    assert math.isnan(record["a"])
    assert (record["b"], record["c"]) == (math.inf, -math.inf)


@pytest.mark.parametrize("record", [{"loss": 1.0}, {"step": 1.5}, {"step": None}])
def test_a_record_without_an_integer_step_is_refused(tmp_path, record):
    with MetricsLog(tmp_path / "m.jsonl") as log, pytest.raises(ValueError, match="integer 'step'"):
        log.write(record)


def test_resume_drops_what_came_after_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_steps(path, [10, 20, 30, 40])
    with MetricsLog(path, resume_step=20) as log:
        assert [r["step"] for r in read_metrics(path)] == [10, 20]
        log.write({"step": 30, "loss": 0.1})
    assert [(r["step"], r["loss"]) for r in read_metrics(path)] == [(10, 0.1), (20, 0.05), (30, 0.1)]
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_step_that_was_not_logged_before_its_checkpoint_is_logged_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (20, 1):
        write_steps(path, [0, 1, 20])
        MetricsLog(path, resume_step=step, is_logged=False).close()
        assert [r["step"] for r in read_metrics(path)] == [s for s in (0, 1, 20) if s < step]
        path.unlink()


def test_without_resume_step_lines_are_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_steps(path, [1, 2])
    with MetricsLog(path) as log:
        log.write({"step": 0})
    write_steps(path, [3])
    assert [r["step"] for r in read_metrics(path)] == [1, 2, 0, 3]
    MetricsLog(path, resume_step=0).close()
    assert read_metrics(path) == []


@pytest.mark.parametrize("tail", ['{"step": 30, "lo', "{", '"text"', "\x00\x00\x00"])
def test_a_torn_last_line_is_dropped(tmp_path, tail):
    path = tmp_path / "metrics.jsonl"
    write_steps(path, [10, 20])
    with path.open("a") as file:
        file.write(tail)
    assert [r["step"] for r in read_metrics(path)] == [10, 20]
    with MetricsLog(path, resume_step=20) as log:
        log.write({"step": 30})
    assert path.read_text().splitlines()[-1] == '{"step": 30}'
    assert len(path.read_text().splitlines()) == 3


def test_a_whole_last_line_that_lost_its_newline_is_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 10}\n{"step": 20}')
    with MetricsLog(path, resume_step=20) as log:
        log.write({"step": 30})
    assert path.read_text() == '{"step": 10}\n{"step": 20}\n{"step": 30}\n'


def test_bytes_that_are_no_text_do_not_stop_a_run(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 10}\n\xff\xfe\n{"step": 20}\n')
    assert [r["step"] for r in read_metrics(path)] == [10, 20]
    MetricsLog(path, resume_step=20).close()
    assert path.read_bytes() == b'{"step": 10}\n{"step": 20}\n'
