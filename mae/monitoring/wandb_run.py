"""Weights & Biases as a copy of the local records: it may be missing, offline or broken, training goes on.

`metrics.jsonl` and `reconstructions/` are complete without it. W&B is imported when a run starts, not before.
"""

import configparser
import netrc
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mae.monitoring.config import WandbConfig

# What WANDB_MODE may hold besides our own words.
WANDB_MODE_NAMES = {"run": "online", "shared": "online", "dryrun": "offline"}
STEP = "train/step"
INIT_TIMEOUT = 60  # seconds for the server to answer at the start
FINISH_TIMEOUT = 60  # seconds for what is not uploaded yet at the end; the rest can be sent with `wandb sync`


@dataclass(frozen=True)
class WandbPlan:
    """Which W&B run a run is to be seen as; known before W&B is asked, so that a checkpoint can keep the id."""

    mode: str  # online | offline
    reason: str  # for the mode, in brackets after a blank; or no text
    run_id: str
    project: str
    name: str
    group: str


def plan_wandb(config: WandbConfig, run_id: str | None, name: str) -> WandbPlan | None:
    """What `wandb.` and the environment say; None: W&B is disabled.

    `wandb.mode=auto` takes WANDB_MODE if set, else online where an API key is configured, else offline; "online"
    without a key is offline as well, because W&B would ask for one.

    Args:
        run_id: of the run to continue; None: a new one.
        name: of the run directory.
    """
    mode, reason = _choose_mode(config.mode)
    if mode == "disabled":
        return None
    sweep_run = os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None
    run_id = sweep_run or run_id or secrets.token_hex(4)  # a sweep's agent has given the run an id already
    return WandbPlan(mode, reason, run_id, config.project, config.name or name, name)


class WandbRun:
    """One W&B run, a `mae.monitoring.background.View`; made by `start`."""

    def __init__(self, run: Any, description: str) -> None:
        self._run = run
        self._description = description
        self._last_step = self._resumed_at = last_step(run)
        self._last_picture_step: dict[str, int] = {}

    @classmethod
    def start(cls, plan: WandbPlan, run_dir: Path, config: Mapping[str, Any]) -> "WandbRun":
        """Starts or continues a run; its files go to `run_dir/wandb`. Takes about a minute at most, never prompts.

        Offline, every start adds a segment with the same id and group, and `wandb sync` appends them.

        Args:
            config: what it is to show beside the records.
        """
        run = _init(plan, Path(run_dir), dict(config))
        return cls(run, _describe(run, plan, Path(run_dir)))

    def describe(self) -> str:
        return self._description

    @property
    def last_step(self) -> int:
        """The last step that is logged, or that the server has of a continued run; -1: none."""
        return self._last_step

    def log(self, record: Mapping[str, Any]) -> None:
        """Logs a record of `metrics.jsonl`; a field `loss` becomes `train/loss`, a name with a slash stays.

        A step not after the last logged one is left out: after a resume the server has it already.
        """
        step = record["step"]
        if step <= self._last_step:
            return
        fields = {k if "/" in k else f"train/{k}": v for k, v in record.items() if v is not None}
        # The step is a field: W&B drops a row whose own `step=` is not after the last, without an error.
        self._run.log({**fields, STEP: step})
        self._last_step = step

    def log_picture(self, step: int, key: str, path: Path) -> None:
        """Logs the picture in a file under `key`, once per step."""
        if step <= self._last_picture_step.get(key, self._resumed_at):
            return
        import wandb

        media = wandb.Image(str(path)) if path.suffix == ".png" else wandb.Video(str(path), format=path.suffix[1:])
        self._run.log({key: media, STEP: step})
        self._last_picture_step[key] = step

    def finish(self, exit_code: int) -> None:
        """Ends the run: "finished" on the server for `exit_code` 0, else "failed"."""
        self._run.finish(exit_code=exit_code)


def has_api_key(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether W&B can log in without asking: a key or token in the environment, or a netrc entry for its host."""
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(_base_url(environment)).netloc
    named = environment.get("NETRC")
    for path in [Path(named)] if named else [Path("~/.netrc"), Path("~/_netrc")]:
        try:
            if netrc.netrc(str(path.expanduser())).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError, RuntimeError):
            continue  # missing or unreadable: W&B could not use it either
    return False


def _base_url(environment: Mapping[str, str]) -> str:
    """The W&B server: environment, then the file that `wandb login --host` writes, then the public one."""
    if environment.get("WANDB_BASE_URL"):
        return environment["WANDB_BASE_URL"]
    settings = configparser.ConfigParser(interpolation=None)
    try:
        directory = Path(environment.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
        settings.read(directory / "settings", encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError, RuntimeError):
        pass  # as if it were not there
    return settings.get("default", "base_url", fallback="https://api.wandb.ai")


def _choose_mode(mode: str) -> tuple[str, str]:
    """The mode to run in ("online", "offline" or "disabled") and the reason in brackets, or no text."""
    reason = ""
    if mode == "auto":
        named = os.environ.get("WANDB_MODE", "").strip().lower()
        mode = WANDB_MODE_NAMES.get(named, named)
        reason = f" (WANDB_MODE={named})"
        if mode not in ("online", "offline", "disabled"):
            mode, reason = "online", ""
    if mode == "online" and not has_api_key():
        return "offline", " (no API key)"
    return mode, reason


def _init(plan: WandbPlan, run_dir: Path, config: dict[str, Any]) -> Any:
    import wandb

    run_dir.mkdir(parents=True, exist_ok=True)  # W&B would silently write to a temporary directory instead
    run = wandb.init(
        project=plan.project,
        name=plan.name,
        group=plan.group,
        config=config,
        dir=str(run_dir),
        id=plan.run_id,
        # Offline as well: the segment then says that it continues the run, and `wandb sync` appends it.
        resume="allow",
        settings=_settings(wandb, plan.mode),
    )
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP)
    return run


def _settings(wandb: Any, mode: str) -> Any:
    """Quiet, bounded, and without what we keep ourselves; names this release does not know are left out."""
    offline = mode == "offline"
    wanted = {
        "mode": mode,
        "silent": True,
        "console": "off",  # else stdout and stderr are wrapped
        "init_timeout": INIT_TIMEOUT,
        "login_timeout": INIT_TIMEOUT,
        "finish_timeout": FINISH_TIMEOUT,
        "x_service_wait": INIT_TIMEOUT,
        "disable_code": True,
        "disable_git": True,
        "save_code": False,
        "x_save_requirements": False,
        # Use of GPU and memory is worth watching live; offline it costs more than all records together.
        "x_disable_stats": offline,
        "x_disable_meta": offline,
        "x_disable_machine_info": offline,
    }
    known = getattr(wandb.Settings, "__annotations__", {})
    return wandb.Settings(**{key: value for key, value in wanted.items() if key in known})


def last_step(run: Any) -> int:
    """The last step the server has of a continued run; -1 for a new or an offline one."""
    try:
        return int(run.summary.get(STEP))
    except Exception:  # no run, no such entry, or a summary that could not be fetched
        return -1


def segments(run_dir: Path, run_id: str) -> Path:
    """The pattern of the folders that offline starts of a run leave."""
    return run_dir / "wandb" / f"offline-run-*-{run_id}"


def _describe(run: Any, plan: WandbPlan, run_dir: Path) -> str:
    if plan.mode == "online":
        return f"W&B online{plan.reason}: {run.url}"
    where = segments(run_dir, plan.run_id)
    return f"W&B offline{plan.reason}: {run_dir / 'wandb'}; upload later with `wandb sync {where}`"
