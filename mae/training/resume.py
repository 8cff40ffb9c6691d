"""Which checkpoint a run goes on from."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mae.checkpoints.run_state import Checkpoint, Checkpoints, read_checkpoint
from mae.errors import ConfigError
from mae.training.config import RunConfig
from mae.training.run_directory import RunDirectory, changes


def checkpoint_to_resume(
    config: RunConfig, directory: RunDirectory, say: Callable[[str], None]
) -> tuple[Checkpoint | None, list[str]]:
    """The run's own newest checkpoint; for a run that has none yet, the one that `resume=` names; with changes since.

    Raises:
        ConfigError: the named one cannot be read, is one of this run that later ones follow, or belongs to a run
            with other settings than may change.
    """
    checkpoint = _chosen(config, directory, say)
    if checkpoint is None:
        return None, []
    return checkpoint, changes(_settings_as_counted_now(checkpoint, config), asdict(config), checkpoint.path)


def _settings_as_counted_now(checkpoint: Checkpoint, config: RunConfig) -> dict[str, Any]:
    """The settings of a checkpoint's run, its batch counted as `config` counts: videos, where it once was clips.

    What is scaled by batch_size is scaled back, so that these settings give the updates that the run has made so far.

    Raises:
        ConfigError: `config` has another batch than that; the message says which settings go on as before.
    """
    before: dict[str, Any] = checkpoint.meta["config"]
    repeats = before["data"].get("clips_per_video", 1)
    # Checkpoints of earlier versions do not say what their batch counts: it was clips in every run.
    if repeats == 1 or "batch_counts" in checkpoint.meta or config.batch_counts == "clips":
        return before
    now = {
        "batch_size": before["batch_size"] // repeats,
        "learning_rate": before["learning_rate"] * repeats,
        "min_learning_rate": before["min_learning_rate"] * repeats,
    }
    if config.batch_size != now["batch_size"]:
        raise ConfigError(
            f"{checkpoint.path} is from before batch_size counted videos: its batch_size={before['batch_size']} are "
            f"clips, {repeats} of each video; to go on with the same updates give "
            + " ".join(f"{name}={value!r}" for name, value in now.items())
        )
    return before | now


def _chosen(config: RunConfig, directory: RunDirectory, say: Callable[[str], None]) -> Checkpoint | None:
    own = Checkpoints(directory.checkpoints, config.keep_checkpoints)
    if config.resume in ("auto", "never"):
        return own.newest(warn=say)
    try:
        named = read_checkpoint(Path(config.resume))
    except ConfigError as error:
        raise ConfigError(f"{error}. resume= continues a run; weights to start from go into init_from=") from error
    newest = own.newest(warn=say)
    if newest is None or newest.step == named.step:
        return named
    if named.path.resolve().parent == directory.checkpoints.resolve():
        raise ConfigError(
            f"run_dir={directory.path} goes on to step {newest.step} after {named.path.name}: "
            "give another run_dir to go another way from there"
        )
    say(f"{directory.path} has checkpoints of its own; resume={config.resume} was where it started")
    return newest
