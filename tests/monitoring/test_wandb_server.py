"""W&B's own client, online, against servers that fail, stall and talk rubbish, and one that works."""

import re

import pytest
from test_wandb_run import run_script
from wandb_server import Working, failing, refusing, server, stalling, talking_rubbish

KEY = "0" * 40

RUN = """
    import sys, time
    from pathlib import Path
    from mae.monitoring import wandb_run
    from mae.monitoring.config import WandbConfig
    from mae.monitoring.views import Views

    wandb_run.INIT_TIMEOUT = wandb_run.FINISH_TIMEOUT = timeout = float(sys.argv[2])
    plan = wandb_run.plan_wandb(WandbConfig("auto", "mae", None), "cafe0123", "n")
    started = time.perf_counter()
    views = Views.open(["wandb"], plan, Path(sys.argv[1]), {"seed": 7}, 0, print)
    for step in range(1, 51):
        views.log({"step": step, "loss": 1 / step})
    print("logged after", time.perf_counter() - started, flush=True)
    before = time.perf_counter()
    for thread in views.threads:
        thread.finish(0, timeout_s=2 * timeout)
    print("waited at the end", time.perf_counter() - before)
"""


def online(tmp_path, address, timeout):
    done = run_script(tmp_path, RUN, tmp_path / "run", timeout, WANDB_BASE_URL=address, WANDB_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    told = ("logged after", "waited at the end")
    logged, waited = (float(re.search(f"{what} (.*)", done.stdout)[1]) for what in told)
    assert logged < 2  # fifty records of a run that waits for nobody
    return waited, done.stdout, [line for line in done.stderr.splitlines() if line.startswith("warning: ")]


@pytest.mark.parametrize("answer", [failing, stalling, talking_rubbish, refusing])
def test_a_bad_server_costs_one_line_and_a_bounded_wait_at_the_end(tmp_path, answer):
    with server(answer) as (address, requests):
        waited, said, warnings = online(tmp_path, address, timeout=3)
    assert requests
    assert waited < 2 * 3 + 2
    assert "W&B online" not in said
    (warning,) = warnings
    assert re.match(r"warning: W&B did not (start|finish) \(.*\); training goes on with local files only", warning)


def test_a_server_that_works_gets_all_of_it(tmp_path):
    working = Working()
    with server(working) as (address, _):
        _, said, warnings = online(tmp_path, address, timeout=60)
    assert not warnings
    assert f"W&B online: {address}/me/mae/runs/cafe0123" in said
    assert [(row["train/step"], row["train/loss"]) for row in working.history] == [(s, 1 / s) for s in range(1, 51)]
    assert working.config["seed"] == {"value": 7}
    assert working.exit_code == 0
