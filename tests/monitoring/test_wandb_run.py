import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest
from patience import PATIENCE

import mae.monitoring.wandb_run as wandb_run
from mae.errors import ConfigError
from mae.monitoring.config import WandbConfig, check_monitors
from mae.monitoring.wandb_run import WandbRun, has_api_key, plan_wandb


class FakeRun:
    """Records what is logged."""

    def __init__(self, **init):
        self.init, self.id = init, init["id"]
        self.url = f"https://wandb.example/{self.id}"
        self.summary = {}
        self.rows, self.metrics, self.exit_codes = [], [], []

    def define_metric(self, name, step_metric=None):
        self.metrics.append((name, step_metric))

    def log(self, row):
        self.rows.append(row)

    def finish(self, exit_code=None):
        self.exit_codes.append(exit_code)


class FakeSettings:
    mode: str
    silent: bool
    console: str
    init_timeout: float
    x_disable_stats: bool

    def __init__(self, **values):
        self.__dict__.update(values)


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A `wandb` module without W&B; `fake.run` is the run it started."""
    for name in [n for n in os.environ if n.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    module = types.SimpleNamespace(Settings=FakeSettings, run=None, summary={})
    module.Image = lambda path: ("image", path)
    module.Video = lambda path, format: ("video", path, format)

    def init(**arguments):
        module.run = FakeRun(**arguments)
        module.run.summary = module.summary
        return module.run

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


@pytest.fixture
def start(tmp_path):
    def start(mode="offline", run_id=None):
        plan = plan_wandb(WandbConfig(mode, "mae", None), run_id, "name")
        return None if plan is None else WandbRun.start(plan, tmp_path, {"model": {"depth": 12}})

    return start


def test_run_is_started_with_our_id_group_and_directory(fake, start, tmp_path):
    start()
    init = fake.run.init
    assert len(init["id"]) == 8
    assert (init["project"], init["name"], init["group"]) == ("mae", "name", "name")
    assert (init["dir"], init["resume"], init["config"]) == (str(tmp_path), "allow", {"model": {"depth": 12}})
    assert vars(init["settings"]) == {
        "mode": "offline",
        "silent": True,
        "console": "off",
        "init_timeout": wandb_run.INIT_TIMEOUT,
        "x_disable_stats": True,
    }
    assert fake.run.metrics == [("train/step", None), ("*", "train/step")]
    start(run_id="cafe0123")
    assert fake.run.init["id"] == "cafe0123"
    assert plan_wandb(WandbConfig("offline", "mae", "mine"), None, "name").name == "mine"


def test_a_sweep_has_given_the_run_its_id(fake, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "abcd1234")
    config = WandbConfig("offline", "mae", None)
    assert plan_wandb(config, "cafe0123", "name").run_id == "cafe0123"  # anybody may have set the variable
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    assert plan_wandb(config, "cafe0123", "name").run_id == "abcd1234"


def test_records_carry_their_step_and_steps_only_grow(fake, start):
    run = start()
    run.log({"step": 10, "loss": 0.5, "probe/top1": 0.2, "psnr": None})
    run.log({"step": 10, "loss": 0.6})
    run.log({"step": 5, "loss": 0.7})
    run.log({"step": 20, "loss": 0.4})
    assert fake.run.rows == [
        {"train/step": 10, "train/loss": 0.5, "probe/top1": 0.2},
        {"train/step": 20, "train/loss": 0.4},
    ]
    assert run.last_step == 20


def test_a_resumed_run_leaves_out_what_the_server_has(fake, start):
    fake.summary = {"train/step": 40}
    run = start(run_id="cafe0123")
    for step in (30, 40, 50):
        run.log({"step": step, "loss": 1.0})
        run.log_picture(step, "reconstruction", Path("a.png"))
    assert [row["train/step"] for row in fake.run.rows] == [50, 50]


def test_pictures_of_a_step_that_is_already_logged(fake, start):
    run = start()
    run.log({"step": 10, "loss": 1.0})
    run.log_picture(10, "reconstruction", Path("a.png"))
    run.log_picture(10, "reconstruction", Path("a.png"))
    run.log_picture(10, "moving", Path("a.gif"))
    assert fake.run.rows[1:] == [
        {"train/step": 10, "reconstruction": ("image", "a.png")},
        {"train/step": 10, "moving": ("video", "a.gif", "gif")},
    ]


def test_finish_reports_the_exit_code(fake, start):
    start().finish(3)
    assert fake.run.exit_codes == [3]


def test_disabled_never_imports(fake, start, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert start("disabled") is None


@pytest.mark.parametrize(
    ("mode", "environment", "expected"),
    [
        ("auto", {}, "W&B offline (no API key):"),
        ("online", {}, "W&B offline (no API key):"),
        ("auto", {"WANDB_API_KEY": "k"}, "W&B online: https://wandb.example/"),
        ("auto", {"WANDB_API_KEY": "k", "WANDB_MODE": "dryrun"}, "W&B offline (WANDB_MODE=dryrun):"),
        ("auto", {"WANDB_API_KEY": "k", "WANDB_MODE": "disabled"}, None),
        ("auto", {"WANDB_API_KEY": "k", "WANDB_MODE": "online"}, "W&B online (WANDB_MODE=online): https"),
        ("auto", {"WANDB_MODE": "online"}, "W&B offline (no API key):"),
        ("offline", {"WANDB_API_KEY": "k", "WANDB_MODE": "online"}, "W&B offline: "),
    ],
)
def test_choice_of_mode(fake, start, monkeypatch, mode, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run = start(mode)
    assert run is None if expected is None else run.describe().startswith(expected)


def test_offline_line_says_how_to_upload(fake, start, tmp_path):
    line = start("offline", "cafe0123").describe()
    assert line.endswith(f"`wandb sync {tmp_path}/wandb/offline-run-*-cafe0123`")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("monitors", "mode", "message"),
    [
        (["wandb"], "on", r"wandb.mode 'on' does not exist; did you mean 'online'\? There are: auto, online"),
        (["wandb", "tensorbord"], "auto", "monitor 'tensorbord' does not exist; did you mean 'tensorboard'"),
        (
            ["tensorboard"],
            "online",
            r"wandb.mode=online, but monitor=\[tensorboard\] leaves W&B out: give 'monitor=\[wandb,ten",
        ),
    ],
)
def test_what_cannot_be_monitored_is_a_config_error(monitors, mode, message):
    with pytest.raises(ConfigError, match=message):
        check_monitors(monitors, WandbConfig(mode, "mae", None))


def test_views_that_may_be_asked_for():
    for mode in ("auto", "disabled"):
        for monitors in ([], ["wandb"], ["tensorboard"], ["wandb", "tensorboard"]):
            check_monitors(monitors, WandbConfig(mode, "mae", None))


def test_api_key_in_netrc_belongs_to_its_host(tmp_path):
    netrc = tmp_path / "netrc"
    environment = {"NETRC": str(netrc), "WANDB_CONFIG_DIR": str(tmp_path)}
    assert not has_api_key(environment)
    netrc.write_text("machine wandb.lab login user password secret\n")
    assert not has_api_key(environment)
    assert has_api_key({**environment, "WANDB_BASE_URL": "https://wandb.lab"})
    (tmp_path / "settings").write_text("[default]\nbase_url = https://wandb.lab\n")
    assert has_api_key(environment)
    netrc.write_text("machine wandb.lab nonsense\n")
    assert not has_api_key(environment)


REAL_RUN = """
    import signal, sys
    from pathlib import Path

    handlers = {s: (lambda *_: None) for s in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in handlers.items():
        signal.signal(number, handler)
    from mae.monitoring import wandb_run
    from mae.monitoring.config import WandbConfig
    from mae.monitoring.views import Views
    from mae.monitoring.wandb_run import plan_wandb

    wandb_run.INIT_TIMEOUT = wandb_run.FINISH_TIMEOUT = 3600
    assert "wandb" not in sys.modules, "imported before a run starts"
    stdout = sys.stdout
    run_dir, still, moving = map(Path, sys.argv[1:])
    plan = plan_wandb(WandbConfig("auto", "mae", None), "cafe0123", "n")
    said = []
    views = Views.open(["wandb"], plan, run_dir, {"seed": 0, "parameter_groups": [{"values": 3}]}, 0, said.append)
    for step in (1, 2, 3):
        views.log({"step": step, "loss": 1 / step, "psnr": float("nan")})
    views.log_picture(3, "reconstruction", still)
    views.log_picture(3, "moving", moving)
    for thread in views.threads:
        thread.finish(3, timeout_s=3600)
    assert [line.split(":")[0] for line in said] == ["W&B offline (no API key)"]
    assert all(signal.getsignal(number) is handler for number, handler in handlers.items())
    assert sys.stdout is stdout
    sys.exit(3)
"""


def test_real_offline_run(tmp_path):
    """W&B itself, in its own process: no key, no prompt, no output, our signal handlers, our exit status."""
    pytest.importorskip("wandb")
    import numpy as np

    from mae.monitoring.moving import save_moving
    from mae.monitoring.panels import save_png

    save_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    save_moving(tmp_path / "a.gif", np.zeros((4, 8, 8, 3), np.uint8))
    done = run_script(tmp_path, REAL_RUN, tmp_path / "run", tmp_path / "a.png", tmp_path / "a.gif")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    (segment,) = (tmp_path / "run" / "wandb").glob("offline-run-*-cafe0123")
    written = (segment / "run-cafe0123.wandb").read_bytes()
    assert b"train/loss" in written
    assert b"parameter_groups" in written
    assert len(list((segment / "files" / "media" / "images").glob("reconstruction_*.png"))) == 1
    assert len(list((segment / "files" / "media" / "videos").glob("moving_*.gif"))) == 1


def run_script(tmp_path, script, *arguments, **environment):
    """A script in a process of its own, whose environment knows nothing of W&B but what is given."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and k != "NETRC"}
    home = {"HOME": str(tmp_path / "home"), "WANDB_ERROR_REPORTING": "false"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        env={**inherited, **home, **environment},
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
