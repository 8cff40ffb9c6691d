"""Weights & Biases as a copy of the local records: it may be missing, offline or broken, training goes on.

`metrics.jsonl` and `reconstructions/` are complete without it. W&B is imported when a run starts, not before.
"""

import configparser
import netrc
import os
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mae.errors import check_choice, one_line
from mae.options import WANDB_MODES

# What WANDB_MODE may hold besides our own words.
WANDB_MODE_NAMES = {"run": "online", "shared": "online", "dryrun": "offline"}
STEP = "train/step"
INIT_TIMEOUT = 60  # seconds for the server to answer at the start
FINISH_TIMEOUT = 60  # seconds for what is not uploaded yet at the end; the rest can be sent with `wandb sync`


def _print_warning(line: str) -> None:
    print(line, file=sys.stderr)


class WandbMonitor:
    """One W&B run, or nothing behind the same methods. Made by `start`; no method but `start` ever raises.

    `run_id`: known in every mode but "disabled" (None there), also when W&B fails, so that a checkpoint can keep
    it and the resumed run continues the same W&B run.
    """

    def __init__(self, run: Any, run_id: str | None, description: str, warn: Callable[[str], None]):
        self.run_id = run_id
        self._run = run
        self._description = description
        self._warn = warn
        self._last_step = _last_step(run)
        self._last_image_step: dict[str, int] = {}

    @classmethod
    def start(
        cls,
        mode: str,
        run_dir: Path,
        run_id: str | None,
        project: str,
        name: str,
        config: Mapping[str, Any],
        group: str,
        warn: Callable[[str], None] = _print_warning,
    ) -> "WandbMonitor":
        """Start or continue a run; its files go to `run_dir/wandb`. Returns within about a minute, never prompts.

        `mode`: "auto" takes WANDB_MODE if set, else online where an API key is configured, else offline;
        "online" without a key is offline as well, because W&B would ask for one. `run_id`: of the run to continue,
        None for a new one; offline, every start adds a segment with the same id and group, and `wandb sync`
        appends them. `config`: plain dict. `warn` gets the one line that says W&B failed.

        Raises ConfigError for an unknown mode.
        """
        mode, reason = _choose_mode(mode)
        if mode == "disabled":
            return cls(None, run_id, f"W&B disabled{reason}", warn)
        run_id = run_id or secrets.token_hex(4)
        try:
            run = _init(mode, Path(run_dir), run_id, project, name, dict(config), group)
            run_id = str(run.id)  # a sweep agent has its own
            description = _describe(run, mode, reason, Path(run_dir), run_id)
        # The one broad except of the package, here and below: a missing or broken install, no network, a refused
        # key, a full disk, a protocol error. None of them may cost a training run, and W&B documents no common base.
        except Exception as error:
            warn(_failure("did not start", error))
            return cls(None, run_id, "W&B did not start: local files only (metrics.jsonl, reconstructions/)", warn)
        return cls(run, run_id, description, warn)

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Log a record of `metrics.jsonl`; a field `loss` becomes `train/loss`, a name with a slash stays.

        A step not after the last logged one is skipped: after a resume the server has it already.
        """
        if self._run is None or step <= self._last_step:
            return
        self._last_step = step
        fields = {k if "/" in k else f"train/{k}": v for k, v in record.items() if v is not None}
        # The step is a field: W&B drops a row whose own `step=` is not after the last, without an error.
        self._guarded(lambda run: run.log({**fields, STEP: step}))

    def log_image(self, step: int, key: str, path: Path) -> None:
        """Log the picture in a file under `key`, once per step."""
        if self._run is None or step <= self._last_image_step.get(key, -1):
            return
        self._last_image_step[key] = step

        def send(run: Any) -> None:
            import wandb

            run.log({key: wandb.Image(str(path)), STEP: step})

        self._guarded(send)

    def finish(self, exit_code: int = 0) -> None:
        """End the run: "finished" on the server for `exit_code` 0, else "failed". Waits `FINISH_TIMEOUT` at most."""
        run, self._run = self._run, None
        if run is None:
            return
        errors: list[Exception] = []

        def end() -> None:
            try:
                run.finish(exit_code=exit_code)
            except Exception as error:
                errors.append(error)

        # W&B has its own limit (`finish_timeout`), but older releases lack it. A daemon thread cannot keep the
        # process from exiting.
        thread = threading.Thread(target=end, name="wandb-finish", daemon=True)
        thread.start()
        thread.join(FINISH_TIMEOUT + 5)
        if thread.is_alive():
            errors.append(TimeoutError(f"not finished after {FINISH_TIMEOUT + 5} s"))
        if errors:
            self._warn(_failure("did not finish", errors[0]))

    def describe(self) -> str:
        """One line for the console: what is logged to W&B and where to see it."""
        return self._description

    def _guarded(self, action: Callable[[Any], None]) -> None:
        try:
            action(self._run)
        except Exception as error:  # see `start`
            self._run = None
            self._description = "W&B stopped: local files only (metrics.jsonl, reconstructions/)"
            self._warn(_failure("stopped", error))


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
    check_choice("wandb.mode", mode, WANDB_MODES)
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


def _init(mode: str, run_dir: Path, run_id: str, project: str, name: str, config: dict[str, Any], group: str) -> Any:
    import wandb

    run_dir.mkdir(parents=True, exist_ok=True)  # W&B would silently write to a temporary directory instead
    run = wandb.init(
        project=project,
        name=name,
        group=group,
        config=config,
        dir=str(run_dir),
        id=run_id,
        # Offline as well: the segment then says that it continues the run, and `wandb sync` appends it.
        resume="allow",
        settings=_settings(wandb, mode),
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


def _last_step(run: Any) -> int:
    """The last step the server has of a continued run; -1 for a new or an offline one."""
    try:
        return int(run.summary.get(STEP))
    except Exception:  # no run, no such entry, or a summary that could not be fetched
        return -1


def _describe(run: Any, mode: str, reason: str, run_dir: Path, run_id: str) -> str:
    if mode == "online":
        return f"W&B online{reason}: {run.url}"
    segments = run_dir / "wandb" / f"offline-run-*-{run_id}"
    return f"W&B offline{reason}: {run_dir / 'wandb'}; upload later with `wandb sync {segments}`"


def _failure(what: str, error: Exception) -> str:
    reason = one_line(error)[:200]
    return f"warning: W&B {what} ({type(error).__name__}: {reason}); training goes on with local files only"
