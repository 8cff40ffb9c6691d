"""A finished run, uploaded or written afterwards by the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb_server import Working, server, talking_rubbish

from mae.errors import ConfigError
from mae.monitoring.moving import save_moving
from mae.monitoring.panels import save_png
from mae.monitoring.replay import known_run_id, parse, replay

CONFIG = "seed: 0\nmonitor:\n- wandb\nwandb:\n  mode: disabled\n  project: mine\n  name: null\n"


@pytest.fixture
def finished(tmp_path):
    """A run directory of three records and two pictures."""
    directory = tmp_path / "some run"
    save_png(directory / "reconstructions" / "step_00000003.png", np.zeros((8, 8, 3), np.uint8))
    save_moving(directory / "reconstructions" / "step_00000003.gif", np.zeros((2, 8, 8, 3), np.uint8))
    (directory / "config.yaml").write_text(CONFIG)
    write_records(directory, 3)
    return directory


def write_records(directory, count):
    lines = [json.dumps({"step": step, "loss": 1 / step}) for step in range(1, count + 1)]
    (directory / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def command(tmp_path, *arguments, **environment):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and k != "NETRC"}
    given = {"HOME": str(tmp_path / "home"), "WANDB_ERROR_REPORTING": "false", **environment}
    return subprocess.run(
        [sys.executable, "-m", "mae.monitoring.replay", *map(str, arguments)],
        env={**inherited, **given},
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_upload_resume_and_no_step_twice(tmp_path, finished):
    working = Working()
    with server(working) as (address, _):
        online = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40}
        said = []
        for count in (3, 5):  # then the run has gone on
            write_records(finished, count)
            done = command(tmp_path, finished, **online)
            assert done.returncode == 0, done.stderr
            said.append(done.stdout.splitlines()[-1])
    assert said == ["3 records", "2 records; 3 up to step 3 were there already"]
    rows = [(row["train/step"], row.get("train/loss")) for row in working.history]
    assert [row for row in rows if row[1] is not None] == [(step, 1 / step) for step in range(1, 6)]
    pictures = [name for row in working.history for name in row if name.startswith("reconstruction")]
    assert sorted(pictures) == ["reconstruction", "reconstruction_moving"]  # of the first time
    assert working.config["seed"] == {"value": 0}
    assert known_run_id(finished)


def test_a_server_that_talks_rubbish_is_one_line(tmp_path, finished):
    with server(talking_rubbish) as (address, _):
        done = command(tmp_path, finished, WANDB_BASE_URL=address, WANDB_API_KEY="0" * 40)
    assert done.returncode == 3
    assert "stopped: W&B failed (" in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_it_is_written_once(tmp_path, finished):
    done = command(tmp_path, finished, "mode=offline", "name=mine")
    assert done.returncode == 0, done.stderr
    assert "wandb sync" in done.stdout
    (segment,) = (finished / "wandb").glob("offline-run-*")
    assert b"train/loss" in next(segment.glob("run-*.wandb")).read_bytes()
    assert known_run_id(finished) == segment.name.rsplit("-", 1)[1]
    done = command(tmp_path, finished, "mode=offline")
    assert done.returncode == 2
    assert "holds this run already: upload it with `wandb sync" in done.stderr


def test_to_tensorboard_as_often_as_one_likes(finished):
    for count in (3, 4):
        write_records(finished, count)
        assert replay(parse([str(finished), "to=tensorboard"])).endswith(f"{count} records")
    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]
    assert {tag: len(events.Images(tag)) for tag in events.Tags()["images"]} == {
        "reconstruction": 1,
        "reconstruction_moving": 1,
    }


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"is no run directory: metrics\.jsonl and config\.yaml are not both there"):
        replay(parse([str(tmp_path)]))
    with pytest.raises(ConfigError, match="to 'tensorbord' does not exist; did you mean 'tensorboard'"):
        parse([str(tmp_path), "to=tensorbord"])
