"""Which checkpoint a run goes on from."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

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
    return checkpoint, changes(checkpoint.meta["config"], asdict(config), checkpoint.path)


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
