"""What every run does, whatever it trains: take up its state, train, keep its state."""

import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mae.checkpoints.run_state import Checkpoint, Checkpoints, assign_arrays, variables_to_arrays
from mae.cli.telling import tell
from mae.data.bad_videos import BadVideos
from mae.data.lists.endings import PACKED_EXTENSION
from mae.data.lists.video_index import VideoIndex
from mae.data.pipeline import Portion
from mae.engines.engine import Engine, Optimizer, StepFunction, StepSettings
from mae.engines.parameter_groups import ParameterGroup
from mae.engines.rate import matmul_rate
from mae.engines.workers import Workers
from mae.errors import ConfigError, Interrupted, TrainingStopped
from mae.monitoring.data_wait import DataWait
from mae.monitoring.metrics import read_metrics
from mae.presets import Architecture
from mae.signals import Check, StopRequest
from mae.training.caller import Caller
from mae.training.config import RunConfig
from mae.training.journal import Journal
from mae.training.loop import train
from mae.training.meter import MeterState, Record
from mae.training.objective import Evaluation, Objective
from mae.training.run_directory import RunDirectory
from mae.training.yardsticks import Yardsticks

WORTH_MEASURING = 100  # steps of a run, from which on a second is spent on how fast its devices are


@dataclass(frozen=True)
class Progress:
    """How far a run is, beside its variables."""

    step: int = 0  # steps made
    wandb_run_id: str | None = None
    meter: MeterState | None = None

    @property
    def owes_evaluation(self) -> bool:
        """Whether the last step was interrupted before all that was due after it was looked at."""
        return self.meter is not None and self.meter.get("unlogged") is not None


@dataclass(frozen=True)
class Session:
    """The parts of a run that do not depend on the objective; `model` has an `architecture`."""

    config: RunConfig
    engine: Engine
    directory: RunDirectory
    model: Any  # keras.Model
    optimizer: Optimizer
    list_digest: str
    caller: Caller

    @property
    def workers(self) -> Workers:
        return self.engine.workers

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
        assign_arrays(self._variables, checkpoint.arrays, checkpoint.path, self.engine.assign)
        from mae.models.norms import set_norm_epsilons  # only here: Keras loads its engine

        set_norm_epsilons(self.model, Architecture(**checkpoint.meta["architecture"]))
        self.workers.say(f"resumed from {checkpoint.path}, {checkpoint.step} steps made")
        for line in changed:
            self.workers.say(f"  changed since: {line}")
        return Progress(checkpoint.step, checkpoint.meta["wandb_run_id"], checkpoint.meta["meter"])

    def check_same_everywhere(self, progress: Progress) -> None:
        """Raises `ConfigError` unless all workers were told the same and found the same."""
        self.workers.check_same("the steps made: run_dir must be on a disk that all of them share", progress.step)
        self.workers.check_same("the list of videos", zlib.crc32(self.list_digest.encode()))
        settings = {name: value for name, value in asdict(self.config).items() if name != "process"}
        self.workers.check_same("their settings", zlib.crc32(repr(sorted(settings.items())).encode()))

    def portion(self, first_step: int, total_steps: int) -> Portion:
        """What this process reads of the batches from `first_step` on: its share of consecutive clips of each."""
        batch_size, workers = self.config.clips_per_step, self.workers
        share = batch_size // workers.count
        positions = range(workers.index * share, (workers.index + 1) * share)
        return Portion(batch_size, range(first_step, total_steps), positions)

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Within it the model computes with the moving average of its weights, if there is one."""
        return nullcontext() if self.optimizer.average is None else self.optimizer.average.in_place()

    def train(self, objective: Objective, progress: Progress) -> None:
        """Trains to the end of the objective's cadence; errors as `mae.training.loop.train`."""
        yardsticks = self._yardsticks(objective)
        details = {
            "derived": {**objective.figures(), "parameters": sum(group.size for group in self.optimizer.groups)},
            "yardsticks": asdict(yardsticks),
            "parameter_groups": [_described(group) for group in self.optimizer.groups],
        }
        journal = Journal(
            self, objective.cadence.total_steps, progress, details, yardsticks, self._data_wait(objective.index)
        )
        bad_videos = BadVideos(
            self.directory.bad_videos_of(self.workers.index), objective.plan.num_videos, self.config.data.max_bad_frac
        )
        evaluation = self.workers.together(lambda: objective.evaluation(self))
        run = _TrainedRun(self, objective, journal, bad_videos, evaluation)
        try:
            if self.workers.is_chief:
                self.directory.note_config(asdict(self.config))
            with journal:
                if progress.step == 0 and self.workers.is_chief:
                    run.look_before_training()
                batches = self.engine.distribute(
                    objective.batches(self, progress.step, bad_videos), self.config.accumulate
                )
                with closing(batches):
                    step, stop = self._step(objective), StopRequest(*self.config.signals)
                    train(run, step, batches, progress.step, objective.cadence, progress.meter, stop)
        except Interrupted as stop:
            again = f"{stop}; the same command goes on from there ({self.directory.path})"
            raise Interrupted(stop.signum, again) from stop
        except OSError as error:
            what = error.filename or self.directory.path
            raise TrainingStopped(
                f"{what} cannot be written ({error.strerror}); earlier checkpoints are kept"
            ) from error
        if self.workers.is_chief and (course := evaluation.course(read_metrics(self.directory.metrics))):
            tell(course)

    def _yardsticks(self, objective: Objective) -> Yardsticks:
        rate = None
        if self.workers.is_chief and objective.cadence.total_steps >= WORTH_MEASURING:
            rate = matmul_rate(self.engine, self.model.dtype_policy.compute_dtype) * self.engine.num_replicas
        return Yardsticks(
            trivial_loss=objective.trivial_loss(),
            flops_per_clip=objective.flops_per_clip(),
            device_flops_per_second=rate,
            decoders=self.config.data.decoders * self.workers.count,
            lowest_rate_scale=min(group.learning_rate_scale for group in self.optimizer.groups),
        )

    def _data_wait(self, index: VideoIndex) -> DataWait:
        packed = all(path.endswith(PACKED_EXTENSION) for path in index.paths)
        return DataWait(self.config.data.decoders, self.config.data.clips_per_video, packed)

    def meta(self, step: int) -> dict[str, Any]:
        """What a file with the weights says about them."""
        return {
            "step": step,
            "list_digest": self.list_digest,
            "config": asdict(self.config),
            "batch_counts": self.config.batch_counts,
            "architecture": asdict(self.model.architecture),
            "versions": {name: version(name) for name in (*self.engine.packages, "keras", "numpy", "mae-video")},
        }

    def save(self, step: int, meter: MeterState, wandb_run_id: str | None, state: Mapping[str, Any]) -> Path | None:
        """Writes a checkpoint of the whole run; only the chief does.

        Args:
            state: the objective's own.

        Returns:
            The file, on the chief.

        Raises:
            TrainingStopped: it cannot be written.
        """
        arrays = variables_to_arrays(self._variables, self.engine.read)
        if not self.workers.is_chief:
            return None
        meta = {**self.meta(step), "wandb_run_id": wandb_run_id, "meter": meter, **state}
        config = self.config
        checkpoints = Checkpoints(self.directory.checkpoints, config.keep_checkpoints, config.keep_every)
        try:
            return checkpoints.save(arrays, meta)
        except OSError as error:
            raise TrainingStopped(
                f"the checkpoint of step {step} cannot be written ({error.strerror}); earlier ones are kept"
            ) from error

    def _step(self, objective: Objective) -> StepFunction:
        settings = StepSettings(self.config.clips_per_step, self.config.accumulate, self.config.jit)
        return self.engine.step(self.model, self.optimizer, objective.losses(self.model), settings)

    @property
    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.optimizer.variables]


@dataclass(frozen=True)
class _TrainedRun:
    """A session on its way through the loop: see `mae.training.loop.Run`. What one worker alone does, all wait for."""

    session: Session
    objective: Objective
    journal: Journal
    bad_videos: BadVideos
    evaluation: Evaluation

    def scalars(self, values: Mapping[str, Any]) -> dict[str, float]:
        return self.session.engine.scalars(values)

    def note_step(self, step: int) -> None:
        self.journal.note_step(step)

    def log(self, record: Record) -> None:
        self.journal.log(record)

    def look_before_training(self) -> None:
        """On the chief of a new run."""
        if figures := self.evaluation.before_training(self.journal):
            self._note_evaluation(0, figures)
            self.journal.log({"step": 0, **figures})

    def evaluate(self, step: int, check: Check) -> Record:
        figures = self.session.workers.together(lambda: self._evaluate(step, check))
        if figures:
            self._note_evaluation(step, figures)
        return figures

    def save(self, step: int, meter: MeterState) -> None:
        run_id, state = self.journal.run_id, self.objective.state()
        path = self.session.workers.together(lambda: self.session.save(step, meter, run_id, state))
        if path is not None:
            self.session.caller.call(lambda callback: callback.on_checkpoint(step, path))

    def check(self) -> None:
        self.session.workers.together(self.bad_videos.raise_if_too_many)

    def agree(self, signum: int | None) -> int | None:
        return self.session.workers.agree(signum)

    def _note_evaluation(self, step: int, figures: Record) -> None:
        self.session.caller.call(lambda callback: callback.on_evaluation(step, dict(figures)))

    def _evaluate(self, step: int, check: Check) -> Record:
        if not self.session.workers.is_chief:
            return {}
        with self.session.averaged_weights():
            return self.evaluation(step, self.journal, check)


@contextmanager
def locked(directory: RunDirectory, workers: Workers) -> Iterator[None]:
    """Holds the run directory, on the chief; raises `ConfigError` everywhere where that cannot be."""
    with ExitStack() as stack:
        workers.together(lambda: stack.enter_context(directory) if workers.is_chief else None)
        yield


def optimizer_rows(config: RunConfig, session: Session) -> list[tuple[str, str]]:
    """Name and value of what updates the weights, with all parameter groups in one row."""
    rows = []
    if config.ema_decay is not None:
        rows.append(("average", f"of the weights, decay {config.ema_decay:g}: evaluated and exported"))
    groups = session.optimizer.groups
    decaying, others = (sum(group.size for group in groups if group.decays is decays) for decays in (True, False))
    scales = sorted({group.learning_rate_scale for group in groups})
    rates = "" if scales == [1.0] else f", learning rate × {scales[0]:.4g} … {scales[-1]:.4g} by layer"
    told = f"{config.optimizer.name}: {decaying} values decay, {others} do not{rates}"
    return [("optimizer", told), *rows]


def _described(group: ParameterGroup) -> dict[str, Any]:
    """A parameter group as the monitors show it."""
    return {
        "layer": group.layer,
        "learning_rate_scale": group.learning_rate_scale,
        "weight_decay": group.decays,
        "values": group.size,
        "tensors": len(group.variables),
    }
