"""`python -m mae.monitoring.replay RUN_DIR`: shows a run in W&B or TensorBoard after it was made, from its files alone.

run_dir     a run directory: its metrics.jsonl, config.yaml and reconstructions/ are read; also without `run_dir=`
to          wandb (default), tensorboard, or [wandb,tensorboard]
mode        of W&B: auto (default: online where an API key is configured, else offline), online, offline
project     of W&B (default: as in config.yaml)
name        of the W&B run (default: as in config.yaml, else the run directory's)

A run that W&B knows already is continued: what its server has is left out, so that no step is there twice.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mae.cli.arguments import command_config
from mae.cli.command import run_command
from mae.cli.typed import PATH
from mae.errors import ConfigError, TrainingStopped, check_choice, one_line
from mae.monitoring.background import View
from mae.monitoring.config import WandbConfig, check_monitors
from mae.monitoring.metrics import read_metrics
from mae.monitoring.tensorboard_run import TensorBoardRun
from mae.monitoring.wandb_run import WandbRun, plan_wandb, segments
from mae.options import MONITORS, WANDB_MODES

_MODES = [mode for mode in WANDB_MODES if mode != "disabled"]
_STEP = re.compile(r"step_(\d+)")
_KEYS = {".png": "reconstruction", ".gif": "reconstruction_moving"}  # as a run shows its pictures


@dataclass(frozen=True)
class ReplayConfig:
    """The arguments of the command."""

    run_dir: str = field(metadata=PATH)
    to: list[str] = field(default_factory=lambda: ["wandb"])  # any of wandb, tensorboard
    mode: str = "auto"  # of W&B: auto | online | offline
    project: str | None = None  # of W&B; null: as the run's config says
    name: str | None = None  # of the W&B run; null: as the run's config says, else the run directory's

    def __post_init__(self) -> None:
        for monitor in self.to:
            check_choice("to", monitor, MONITORS)
        check_choice("mode", self.mode, _MODES)


def replay(options: ReplayConfig) -> str:
    """Uploads, or writes, what a run directory holds; returns the lines to print.

    Raises:
        ConfigError: no run, or one that is written already.
        TrainingStopped: W&B failed; the same command goes on where it did.
    """
    run_dir = Path(options.run_dir)
    if not (run_dir / "metrics.jsonl").is_file() or not (run_dir / "config.yaml").is_file():
        raise ConfigError(f"{run_dir} is no run directory: metrics.jsonl and config.yaml are not both there")
    config: Any = OmegaConf.to_container(OmegaConf.load(run_dir / "config.yaml"))
    told = config.get("wandb", {})
    wandb = WandbConfig(options.mode, options.project or told.get("project", "mae"), options.name or told.get("name"))
    check_monitors(options.to, wandb)
    records = read_metrics(run_dir / "metrics.jsonl")
    lines = []
    if "tensorboard" in options.to:
        lines.append(_filled(TensorBoardRun(run_dir, config, 0), records, run_dir, -1))
    if "wandb" in options.to:
        lines.append(_to_wandb(wandb, run_dir, config, records))
    return "\n".join(lines)


def known_run_id(run_dir: Path) -> str | None:
    """The id of the W&B run that a run directory belongs to, from the folders that W&B left; None: there are none."""
    folders = [path.name for path in (run_dir / "wandb").glob("*run-*-*") if path.is_dir()]
    dated = sorted(folders, key=lambda name: name.split("run-", 1)[1])
    return dated[-1].rsplit("-", 1)[1] if dated else None


def _to_wandb(wandb: WandbConfig, run_dir: Path, config: dict[str, Any], records: list[dict[str, Any]]) -> str:
    plan = plan_wandb(wandb, known_run_id(run_dir), run_dir.resolve().name)
    if plan is None:
        raise ConfigError("W&B is disabled (WANDB_MODE=disabled): give mode=online or mode=offline")
    written = segments(run_dir, plan.run_id)
    if plan.mode == "offline" and list(written.parent.glob(written.name)):
        raise ConfigError(
            f"{written} holds this run already: upload it with `wandb sync {written}`, "
            "or remove it to have it written anew"
        )
    try:
        run = WandbRun.start(plan, run_dir, config)
        return _filled(run, records, run_dir, run.last_step)
    except Exception as error:  # W&B documents no common base of what it raises
        raise TrainingStopped(f"W&B failed ({one_line(error)}); the same command goes on from there") from error


def _filled(view: View, records: Sequence[dict[str, Any]], run_dir: Path, last_step: int) -> str:
    """Hands a view all that is later than `last_step`, step by step, and ends it."""
    found = (run_dir / "reconstructions").glob("step_*")
    pictures = sorted((_step_of(path), path) for path in found if path.suffix in _KEYS)
    new = [record for record in records if record["step"] > last_step]
    for record in new:
        view.log(record)
    for step, path in pictures:
        if step > last_step:
            view.log_picture(step, _KEYS[path.suffix], path)
    described = view.describe()
    view.finish(0)
    left = len(records) - len(new)
    return f"{described}\n{len(new)} records" + (f"; {left} up to step {last_step} were there already" if left else "")


def _step_of(path: Path) -> int:
    found = _STEP.match(path.name)
    return int(found[1]) if found else 0


def parse(arguments: Sequence[str]) -> ReplayConfig:
    """The arguments of the command; raises `ConfigError` for a mistake in them."""
    return command_config(ReplayConfig, arguments, in_front=("run_dir",))


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    print(replay(parse(arguments)))


if __name__ == "__main__":
    run_command(main, __doc__)
