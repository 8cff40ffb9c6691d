import os
import subprocess
import sys
import textwrap
import threading
import types
from pathlib import Path

import pytest
from patience import PATIENCE

import mae.monitoring.wandb_run as wandb_run
from mae.errors import ConfigError
from mae.monitoring.wandb_run import WandbMonitor, has_api_key


class FakeRun:
    """Records what is logged; `fails` names the method that raises."""

    def __init__(self, fails="", **init):
        self.init, self.fails, self.id = init, fails, init["id"]
        self.url = f"https://wandb.example/{self.id}"
        self.summary = {}
        self.rows, self.metrics, self.exit_codes = [], [], []

    def define_metric(self, name, step_metric=None):
        self.metrics.append((name, step_metric))

    def log(self, row):
        if self.fails == "log":
            raise BrokenPipeError("the service\nis gone")
        self.rows.append(row)

    def finish(self, exit_code=None):
        if self.fails == "finish":
            raise TimeoutError("upload")
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
    """A `wandb` module without W&B; `fake.run` is the run it started, `fake.fails` what raises."""
    for name in [n for n in os.environ if n.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    module = types.SimpleNamespace(Settings=FakeSettings, run=None, fails="", summary={})
    module.Image = lambda path: ("image", path)

    def init(**arguments):
        if module.fails == "init":
            raise RuntimeError("no route to host")
        module.run = FakeRun(module.fails, **arguments)
        module.run.summary = module.summary
        return module.run

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


@pytest.fixture
def start(tmp_path):
    def start(mode="offline", run_id=None):
        warnings = []
        config = {"model": {"depth": 12}}
        monitor = WandbMonitor.start(mode, tmp_path, run_id, "mae", "name", config, "group", warn=warnings.append)
        return monitor, warnings

    return start


def test_run_is_started_with_our_id_group_and_directory(fake, start, tmp_path):
    monitor, warnings = start()
    init = fake.run.init
    assert monitor.run_id == init["id"]
    assert len(monitor.run_id) == 8
    assert (init["project"], init["name"], init["group"]) == ("mae", "name", "group")
    assert (init["dir"], init["resume"], init["config"]) == (str(tmp_path), "allow", {"model": {"depth": 12}})
    assert vars(init["settings"]) == {
        "mode": "offline",
        "silent": True,
        "console": "off",
        "init_timeout": wandb_run.INIT_TIMEOUT,
        "x_disable_stats": True,
    }
    assert fake.run.metrics == [("train/step", None), ("*", "train/step")]
    assert start(run_id="cafe0123")[0].run_id == fake.run.init["id"] == "cafe0123"
    assert warnings == []


def test_records_carry_their_step_and_steps_only_grow(fake, start):
    monitor, _ = start()
    monitor.log(10, {"step": 10, "loss": 0.5, "probe/top1": 0.2, "psnr": None})
    monitor.log(10, {"loss": 0.6})
    monitor.log(5, {"loss": 0.7})
    monitor.log(20, {"loss": 0.4})
    assert fake.run.rows == [
        {"train/step": 10, "train/loss": 0.5, "probe/top1": 0.2},
        {"train/step": 20, "train/loss": 0.4},
    ]


def test_a_resumed_run_skips_what_the_server_has(fake, start):
    fake.summary = {"train/step": 40}
    monitor, _ = start(run_id="cafe0123")
    for step in (30, 40, 50):
        monitor.log(step, {"loss": 1.0})
    assert [row["train/step"] for row in fake.run.rows] == [50]


def test_image_of_a_step_that_is_already_logged(fake, start):
    monitor, _ = start()
    monitor.log(10, {"loss": 1.0})
    monitor.log_image(10, "reconstruction", Path("a.png"))
    monitor.log_image(10, "reconstruction", Path("a.png"))
    assert fake.run.rows[1:] == [{"train/step": 10, "reconstruction": ("image", "a.png")}]


def test_failing_init_warns_once_and_keeps_an_id(fake, start):
    fake.fails = "init"
    monitor, warnings = start(run_id="cafe0123")
    monitor.log(1, {"loss": 1.0})
    monitor.log_image(1, "reconstruction", Path("a.png"))
    monitor.finish()
    assert warnings == [
        "warning: W&B did not start (RuntimeError: no route to host); training goes on with local files only"
    ]
    assert monitor.run_id == "cafe0123"
    assert "local files only" in monitor.describe()


def test_failing_import_warns_once(fake, start, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # `import wandb` raises ModuleNotFoundError
    monitor, warnings = start()
    monitor.log(1, {"loss": 1.0})
    assert len(warnings) == 1
    assert "ModuleNotFoundError" in warnings[0]
    assert monitor.run_id


def test_failing_log_warns_once_and_stops(fake, start):
    fake.fails = "log"
    monitor, warnings = start()
    for step in range(3):
        monitor.log(step, {"loss": 1.0})
        monitor.log_image(step, "reconstruction", Path("a.png"))
    monitor.finish()
    assert warnings == [
        "warning: W&B stopped (BrokenPipeError: the service is gone); training goes on with local files only"
    ]
    assert "stopped" in monitor.describe()
    assert fake.run.exit_codes == []


def test_an_image_that_cannot_be_read_does_not_raise(fake, start):
    def unreadable(path):
        raise FileNotFoundError(path)

    fake.Image = unreadable
    monitor, warnings = start()
    monitor.log_image(1, "reconstruction", Path("missing.png"))
    assert len(warnings) == 1


def test_finish_reports_the_exit_code_once(fake, start):
    monitor, warnings = start()
    monitor.finish(exit_code=3)
    monitor.finish()
    assert fake.run.exit_codes == [3]
    assert warnings == []


def test_failing_finish_warns(fake, start):
    fake.fails = "finish"
    monitor, warnings = start()
    monitor.finish()
    assert len(warnings) == 1
    assert "did not finish (TimeoutError: upload)" in warnings[0]


def test_finish_that_hangs_is_left_behind(fake, start, monkeypatch):
    monkeypatch.setattr(wandb_run, "FINISH_TIMEOUT", -4.9)
    monitor, warnings = start()
    release = threading.Event()
    fake.run.finish = lambda exit_code: release.wait(PATIENCE)
    monitor.finish()
    release.set()
    assert len(warnings) == 1
    assert "did not finish" in warnings[0]


def test_disabled_never_imports(fake, start, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monitor, warnings = start("disabled")
    monitor.log(1, {"loss": 1.0})
    monitor.finish()
    assert (monitor.run_id, monitor.describe(), warnings) == (None, "W&B disabled", [])


@pytest.mark.parametrize(
    ("mode", "environment", "expected"),
    [
        ("auto", {}, "W&B offline (no API key):"),
        ("online", {}, "W&B offline (no API key):"),
        ("auto", {"WANDB_API_KEY": "k"}, "W&B online: https://wandb.example/"),
        ("auto", {"WANDB_API_KEY": "k", "WANDB_MODE": "dryrun"}, "W&B offline (WANDB_MODE=dryrun):"),
        ("auto", {"WANDB_API_KEY": "k", "WANDB_MODE": "disabled"}, "W&B disabled (WANDB_MODE=disabled)"),
        ("auto", {"WANDB_API_KEY": "k", "WANDB_MODE": "online"}, "W&B online (WANDB_MODE=online): https"),
        ("auto", {"WANDB_MODE": "online"}, "W&B offline (no API key):"),
        ("offline", {"WANDB_API_KEY": "k", "WANDB_MODE": "online"}, "W&B offline: "),
    ],
)
def test_choice_of_mode(fake, start, monkeypatch, mode, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert start(mode)[0].describe().startswith(expected)


def test_offline_line_says_how_to_upload(fake, start, tmp_path):
    line = start("offline", "cafe0123")[0].describe()
    assert line.endswith(f"`wandb sync {tmp_path}/wandb/offline-run-*-cafe0123`")
    assert "\n" not in line


def test_unknown_mode_is_a_config_error(start):
    with pytest.raises(
        ConfigError, match=r"wandb.mode 'on' does not exist; did you mean 'online'\? There are: auto, online"
    ):
        start("on")


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
    from mae.monitoring.wandb_run import WandbMonitor

    wandb_run.INIT_TIMEOUT = wandb_run.FINISH_TIMEOUT = 3600
    assert "wandb" not in sys.modules, "imported before a run starts"
    stdout = sys.stdout
    monitor = WandbMonitor.start("auto", Path(sys.argv[1]), "cafe0123", "mae", "n", {"seed": 0}, "g")
    assert monitor.run_id == "cafe0123"
    for step in (1, 2, 3):
        monitor.log(step, {"loss": 1 / step, "psnr": float("nan")})
    monitor.log_image(3, "reconstruction", Path(sys.argv[2]))
    monitor.finish(exit_code=3)
    assert all(signal.getsignal(number) is handler for number, handler in handlers.items())
    assert sys.stdout is stdout
    sys.exit(3)
"""


def test_real_offline_run(tmp_path):
    """W&B itself, in its own process: no key, no prompt, no output, our signal handlers, our exit status."""
    pytest.importorskip("wandb")
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and k != "NETRC"}
    environment |= {"HOME": str(tmp_path / "home"), "WANDB_ERROR_REPORTING": "false"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REAL_RUN), str(tmp_path / "run"), str(tmp_path / "a.png")],
        env=environment,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    (segment,) = (tmp_path / "run" / "wandb").glob("offline-run-*-cafe0123")
    assert b"train/loss" in (segment / "run-cafe0123.wandb").read_bytes()
    assert len(list((segment / "files" / "media" / "images").glob("reconstruction_*.png"))) == 1
