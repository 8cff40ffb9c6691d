"""What every run does, whatever it trains: take up its state, train, keep its state.

An objective (pre-training, fine-tuning) brings the model, the step function, its batches and its evaluation.
"""

import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import keras

from mae.checkpoints.run_state import Checkpoint, Checkpoints, assign_arrays, variables_to_arrays
from mae.engines.tensorflow.optimizer import Optimizer
from mae.engines.tensorflow.workers import Workers
from mae.errors import ConfigError, Interrupted, TrainingStopped
from mae.models.norms import set_norm_epsilons
from mae.presets import Architecture
from mae.training.config import RunConfig
from mae.training.journal import Journal
from mae.training.loop import Hooks, StepFunction, train
from mae.training.meter import Cadence, MeterState, Record
from mae.training.run_directory import RunDirectory


@dataclass(frozen=True)
class Progress:
    """How far a run is, beside its variables."""

    step: int = 0  # steps made
    wandb_run_id: str | None = None
    meter: MeterState | None = None


@dataclass(frozen=True)
class Objective:
    """What is trained, and how it is looked at."""

    step_function: StepFunction
    batches: Callable[[int], Generator[Any]]  # from the number of steps made; closed after the last one
    evaluate: Callable[[int, Journal], Record]  # by the chief, with averaged weights where there are any
    check: Callable[[], None]  # see `Hooks`
    cadence: Cadence
    state: Callable[[], Mapping[str, Any]] = dict  # what else belongs into a checkpoint's meta data
    initial: Callable[[Journal], None] | None = None  # done by the chief before the first step of a new run


@dataclass(frozen=True)
class Session:
    """The parts of a run that do not depend on the objective; `model` has an `architecture`."""

    config: RunConfig
    workers: Workers
    directory: RunDirectory
    model: keras.Model
    optimizer: Optimizer
    list_digest: str

    def restore(self, checkpoint: Checkpoint, changed: list[str]) -> Progress:
        """Fills every variable of the run from the checkpoint.

        Raises:
            ConfigError: it belongs to another model or list of videos.
        """
        if checkpoint.meta["list_digest"] != self.list_digest:
            raise ConfigError(
                f"{checkpoint.path} was trained on another list of videos than the one found now: "
                "restore the list, or give another run_dir"
            )
        assign_arrays(self._variables, checkpoint.arrays, checkpoint.path)
        set_norm_epsilons(self.model, Architecture(**checkpoint.meta["architecture"]))
        self.workers.say(f"resumed from {checkpoint.path}, {checkpoint.step} steps made")
        for line in changed:
            self.workers.say(f"  changed since: {line}")
        return Progress(checkpoint.step, checkpoint.meta["wandb_run_id"], checkpoint.meta["meter"])

    def check_same_everywhere(self, progress: Progress) -> None:
        """Raises `ConfigError` unless all workers were told the same and found the same."""
        self.workers.check_same("the steps made: run_dir must be on a disk that all of them share", progress.step)
        self.workers.check_same("the list of videos", zlib.crc32(self.list_digest.encode()))
        self.workers.check_same("their settings", zlib.crc32(repr(sorted(asdict(self.config).items())).encode()))

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Within it the model computes with the moving average of its weights, if there is one."""
        return nullcontext() if self.optimizer.average is None else self.optimizer.average.in_place()

    def train(self, objective: Objective, progress: Progress, figures: Mapping[str, str]) -> None:
        """Trains to the end of the objective's cadence; errors as `mae.training.loop.train`."""
        workers, total_steps = self.workers, objective.cadence.total_steps
        journal = Journal(
            self.config, self.directory, workers, total_steps, progress.step, progress.wandb_run_id, figures
        )

        def evaluate(step: int) -> Record:
            with self.averaged_weights():
                return objective.evaluate(step, journal)

        hooks = Hooks(
            log=journal.log,
            evaluate=lambda step: workers.together(lambda: evaluate(step) if workers.is_chief else {}),
            save=lambda step, meter: workers.together(
                lambda: self._save(step, meter, journal.run_id, objective.state())
            ),
            check=lambda: workers.together(objective.check),
            agree=workers.agree,
        )
        try:
            if workers.is_chief:
                self.directory.write_config(asdict(self.config))
            with journal:
                if progress.step == 0 and objective.initial is not None and workers.is_chief:
                    objective.initial(journal)
                with closing(objective.batches(progress.step)) as batches:
                    train(objective.step_function, batches, progress.step, objective.cadence, hooks, progress.meter)
        except Interrupted as stop:
            again = f"{stop}; the same command goes on from there ({self.directory.path})"
            raise Interrupted(stop.signum, again) from stop
        except OSError as error:
            what = error.filename or self.directory.path
            raise TrainingStopped(
                f"{what} cannot be written ({error.strerror}); earlier checkpoints are kept"
            ) from error

    def meta(self, step: int) -> dict[str, Any]:
        """What a file with the weights says about them."""
        return {
            "step": step,
            "list_digest": self.list_digest,
            "config": asdict(self.config),
            "architecture": asdict(self.model.architecture),
            "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "mae-video")},
        }

    @property
    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.optimizer.variables]

    def _save(self, step: int, meter: MeterState, wandb_run_id: str | None, state: Mapping[str, Any]) -> None:
        if not self.workers.is_chief:
            return
        meta = {**self.meta(step), "wandb_run_id": wandb_run_id, "meter": meter, **state}
        checkpoints = Checkpoints(self.directory.checkpoints, self.config.keep_checkpoints)
        try:
            checkpoints.save(variables_to_arrays(self._variables), meta)
        except OSError as error:
            raise TrainingStopped(
                f"the checkpoint of step {step} cannot be written ({error.strerror}); earlier ones are kept"
            ) from error


@contextmanager
def locked(directory: RunDirectory, workers: Workers) -> Iterator[None]:
    """Holds the run directory, on the chief; raises `ConfigError` everywhere where that cannot be."""
    with ExitStack() as stack:
        workers.together(lambda: stack.enter_context(directory) if workers.is_chief else None)
        yield


def optimizer_rows(config: RunConfig, session: Session) -> list[tuple[str, str]]:
    """Name and value of what updates the weights; a row for each parameter group."""
    rows = [("optimizer", config.optimizer.name)]
    if config.ema_decay is not None:
        rows.append(("average", f"of the weights, decay {config.ema_decay:g}: evaluated and exported"))
    for group in session.optimizer.groups:
        decay = "weight decay" if group.decays else "no decay"
        scale = f"learning rate × {group.learning_rate_scale:.4g}"
        size = f"{group.size} values in {len(group.variables)} tensors"
        rows.append((f"parameters: {group.layer}", f"{scale}, {decay}: {size}"))
    return rows
