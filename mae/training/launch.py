"""The start of every run, whatever it trains: engine, directory, checkpoint, videos, model, lock, in this order."""

from collections.abc import Callable
from typing import Any

from mae.checkpoints.run_state import Checkpoint
from mae.cli.telling import tell
from mae.engines.engine import Engine, Optimizer, UpdateSettings
from mae.engines.start import start_engine
from mae.errors import ConfigError
from mae.monitoring.console import format_table
from mae.monitoring.metrics import read_metrics
from mae.report.at_end import leave_report
from mae.seeds import seed_initializers
from mae.training.caller import Caller
from mae.training.config import RunConfig
from mae.training.objective import Objective
from mae.training.overfit import overfitting, summarize_overfitting
from mae.training.plan import TrainingPlan
from mae.training.resume import checkpoint_to_resume
from mae.training.run_directory import RunDirectory
from mae.training.session import Progress, Session, locked

Prepare = Callable[[Any, Engine, Checkpoint | None], Objective]  # of the config and the checkpoint to go on from


def launch(config: RunConfig, prepare: Prepare, caller: Caller | None = None) -> None:
    """Starts or continues the run that `config` describes.

    Args:
        prepare: makes the objective. Called on all workers, on the chief first: it may leave files for them.
        caller: who has the run made; None: the command line of this process.

    Raises:
        ConfigError: the config, the data and the machine do not fit together; nothing on disk was changed.
        TrainingStopped, Interrupted: see `mae.training.loop.train`.
        CallbackFailed: what a callback of the caller raised.
    """
    engine = start_engine(config.setup)
    with engine.report_lost_workers():
        _launch(overfitting(config), engine, prepare, caller or Caller())


def _launch(config: RunConfig, engine: Engine, prepare: Prepare, caller: Caller) -> None:
    workers = engine.workers
    if workers.count > 1:
        tell(describe_worker(engine))
    directory = RunDirectory(config.run_dir)
    workers.together(lambda: directory.check(config.resume) if workers.is_chief else None)
    checkpoint, changed = workers.together(lambda: checkpoint_to_resume(config, directory, workers.say))
    objective = workers.chief_first(lambda: prepare(config, engine, checkpoint))
    if config.jit and engine.num_replicas > 1 and not engine.compiles_replicas:
        raise ConfigError(f"jit=true needs one replica, found {engine.num_replicas}: give strategy=single")
    with locked(directory, workers):
        model, optimizer = _build(config, engine, objective)
        session = Session(config, engine, directory, model, optimizer, objective.index.digest, caller)
        progress = workers.together(lambda: _take_up(session, objective, checkpoint, changed))
        session.check_same_everywhere(progress)
        workers.say(format_table(objective.rows(session), "run"))
        if workers.is_chief:
            directory.note_command(caller.command)
        _train(session, objective, progress)
        objective.finish(session)
        if config.report and workers.is_chief:
            tell(leave_report(directory.path))


def _build(config: RunConfig, engine: Engine, objective: Objective) -> tuple[Any, Optimizer]:
    """Model and optimizer on all replicas, their initial values a function of the run's seed."""
    seed_initializers(config.seed)
    with engine.scope():
        model = objective.build(engine)
        return model, engine.optimizer(model, _update_settings(config, objective.plan))


def _update_settings(config: RunConfig, plan: TrainingPlan) -> UpdateSettings:
    return UpdateSettings(
        optimizer=config.optimizer,
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        max_skipped=config.skippable_steps,
        loss_scale=config.loss_scale if config.precision == "float16" else None,
        ema_decay=config.ema_decay,
    )


def _take_up(session: Session, objective: Objective, checkpoint: Checkpoint | None, changed: list[str]) -> Progress:
    """A run that goes on from a checkpoint, or a new one."""
    if checkpoint is not None:
        progress = session.restore(checkpoint, changed)
        objective.restore(checkpoint)
        return progress
    session.workers.say(f"new run in {session.directory.path}")
    objective.start(session)
    return Progress()


def _train(session: Session, objective: Objective, progress: Progress) -> None:
    """Trains to the end, unless that is reached already."""
    workers, total_steps = session.workers, objective.plan.total_steps
    if progress.step >= total_steps and not progress.owes_evaluation:
        workers.say(f"the training is complete: {progress.step} of {total_steps} steps are made")
    else:
        session.train(objective, progress)
    clips = session.config.overfit_clips
    if clips is not None and workers.is_chief:
        tell(summarize_overfitting(clips, read_metrics(session.directory.metrics)))


def describe_worker(engine: Engine) -> str:
    """What this process is among those that train together, for its own output."""
    import socket

    workers = engine.workers
    role = "the chief: writes the run directory and logs" if workers.is_chief else "computes only"
    return f"worker {workers.index} of {workers.count} on {socket.gethostname()}: {role}; {engine.describe_devices()}"
