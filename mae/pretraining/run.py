"""A pre-training run from a config: build, resume, train, say what came out."""

from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from omegaconf import OmegaConf

from mae.checkpoints.load import load_checkpoint
from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader
from mae.data.few import reader_of_few
from mae.data.footprint import Footprint
from mae.data.lists.index import VideoIndex, build_index
from mae.data.shapes.render import print_rendering
from mae.engines.tensorflow.distribute import distributed
from mae.engines.tensorflow.guard import UpdateGuard
from mae.engines.tensorflow.optimizer import Optimizer, configured_optimizer
from mae.engines.tensorflow.strategy import compute_dtype, make_strategy, suited_to_devices
from mae.engines.tensorflow.weight_average import WeightAverage
from mae.engines.tensorflow.workers import Workers, connected_workers
from mae.errors import ConfigError
from mae.evaluation.reconstruction import ProbeBatch, make_probe_batch
from mae.models.pretrainer import Pretrainer
from mae.monitoring.console import format_table
from mae.monitoring.metrics import read_metrics
from mae.pretraining.batches import drawn_mask, masked_batches, training_masks
from mae.pretraining.config import PretrainConfig
from mae.pretraining.evaluation import PretrainEvaluation
from mae.pretraining.periodic_probe import ProbePlan, RunProbe
from mae.pretraining.report import clip_rows, goodbye, run_rows
from mae.pretraining.step import pretraining_step
from mae.seeds import generator
from mae.training.clips import clip_spec, clips_in_memory
from mae.training.meter import Cadence
from mae.training.overfit import overfit_course, overfit_row, overfitting
from mae.training.plan import TrainingPlan
from mae.training.resume import checkpoint_to_resume
from mae.training.run_directory import RunDirectory
from mae.training.session import Objective, Progress, Session, locked

PROBE_CLIPS = 4


def pretrain(config: PretrainConfig) -> None:
    """Starts or continues the run that `config` describes.

    Raises:
        ConfigError: the config, the data and the machine do not fit together; nothing on disk was changed.
        TrainingStopped, Interrupted: see `mae.training.loop.train`.
    """
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    workers = connected_workers(make_strategy(config.strategy))
    with workers.losing_others():
        _pretrain(overfitting(config), workers)


def _pretrain(config: PretrainConfig, workers: Workers) -> None:
    if workers.count > 1:
        print(workers.describe(), flush=True)
    directory = RunDirectory(config.run_dir)
    workers.together(lambda: directory.check(config.resume) if workers.is_chief else None)
    checkpoint, changed = workers.together(lambda: checkpoint_to_resume(config, directory, workers.say))
    videos = _find_videos(config, workers)
    plan = TrainingPlan(config, len(videos.index.paths), workers.strategy.num_replicas_in_sync)
    probe = ProbePlan(config.probe, videos.index, plan.total_steps)
    footprint = clips_in_memory(config, videos.reader.spec, workers.count, kept=len(probe.places))
    if config.jit and plan.num_replicas > 1:
        raise ConfigError(f"jit=true needs one replica, found {plan.num_replicas}: give strategy=single")
    sizes = {"preset": config.model.preset, **asdict(config.model.architecture)}
    workers.say(OmegaConf.to_yaml(OmegaConf.create(asdict(config) | {"model": sizes})))
    with locked(directory, workers):
        model, optimizer = _build(config, plan, workers.strategy)
        session = Session(config, workers, directory, model, optimizer, videos.index.digest)
        run = _Pretraining(config, plan, session, videos, probe, footprint)
        progress = workers.together(lambda: session.restore(checkpoint, changed) if checkpoint else run.start())
        session.check_same_everywhere(progress)
        run.train(progress)
    workers.say(goodbye(directory.path, videos.index, config.dataset.name))


@dataclass(frozen=True)
class _Videos:
    """What is trained on, and what is looked at."""

    index: VideoIndex
    reader: ClipReader
    batch: ProbeBatch


@dataclass(frozen=True)
class _Pretraining:
    """What is pre-training's own in a run."""

    config: PretrainConfig
    plan: TrainingPlan
    session: Session
    videos: _Videos
    probe: ProbePlan
    footprint: Footprint  # of the clips on this machine

    def start(self) -> Progress:
        """A new run: the model as it was initialised, or filled from `init_from`."""
        c, workers, path = self.config, self.session.workers, self.session.directory.path
        workers.say(f"new run in {path}")
        if c.init_from is None:
            return Progress()
        if Path(c.init_from).resolve() == path.resolve():
            raise ConfigError(f"init_from={c.init_from} is this run itself; resume=auto continues it")
        report = load_checkpoint(c.init_from, self.session.model, c.allow_missing or (), positions=c.init_positions)
        if self.session.optimizer.average is not None:
            self.session.optimizer.average.restart()
        workers.say(report.table())
        if report.fresh_decoder:
            workers.say("NOTE: the decoder starts at random: the loss starts as if nothing had been learnt")
        return Progress()

    def train(self, progress: Progress) -> None:
        """Trains to the end, unless that is reached already."""
        c, plan, session = self.config, self.plan, self.session
        looks = [
            ("clips in memory", str(self.footprint)),
            self.probe.row(),
            *overfit_row(c.overfit_clips, "clip and mask"),
        ]
        rows = [*plan.rows(), *clip_rows(c), *looks, *run_rows(c, self.videos.index, session)]
        session.workers.say(format_table(rows, "run"))
        if progress.step >= plan.total_steps:
            session.workers.say(f"the run is complete: {progress.step} of {plan.total_steps} steps are made")
        else:
            self._train(progress)
        if c.overfit_clips is not None and session.workers.is_chief:
            print(overfit_course(c.overfit_clips, read_metrics(session.directory.metrics)))

    def _train(self, progress: Progress) -> None:
        c, plan, session = self.config, self.plan, self.session
        probing = session.workers.is_chief and self.probe.every is not None
        probe = session.workers.together(
            lambda: RunProbe(session.model, self.videos.reader, self.probe) if probing else None
        )
        cadence = Cadence.of(c, plan, c.evaluate_every, self.probe.every)
        evaluation = PretrainEvaluation(c, cadence, session.directory, session.model, self.videos.batch, probe)
        bad_videos = BadVideos(
            session.directory.bad_videos_of(session.workers.index), plan.num_videos, c.data.max_bad_frac
        )
        objective = Objective(
            step_function=self._step_function(),
            batches=lambda first_step: self._batches(first_step, bad_videos),
            evaluate=evaluation,
            check=bad_videos.raise_if_too_many,
            cadence=cadence,
            initial=None if c.init_from is None and probe is None else evaluation.log_initial,
        )
        session.train(objective, progress, figures=dict([*plan.rows(), *clip_rows(c)]))
        if probe is not None:
            print(probe.course(read_metrics(session.directory.metrics)))

    def _step_function(self) -> Any:
        c, session = self.config, self.session
        return pretraining_step(
            session.workers.strategy,
            session.model,
            session.optimizer,
            target=c.target,
            num_masked=c.num_masked,
            num_predicted=c.num_predicted,
            batch_size=c.batch_size,
            accumulate=c.accumulate,
            jit=c.jit,
        )

    def _batches(self, first_step: int, bad_videos: BadVideos) -> Generator[Any]:
        c, workers, reader = self.config, self.session.workers, self.videos.reader
        share = c.batch_size // workers.count  # clips of a step that this process reads
        positions = range(workers.index * share, (workers.index + 1) * share)
        num_steps = self.plan.total_steps - first_step
        prefetch = self.footprint.prefetch
        batches = masked_batches(c, reader, bad_videos, first_step, num_steps, prefetch, positions)
        return distributed(workers.strategy, batches)


def _find_videos(config: PretrainConfig, workers: Workers) -> _Videos:
    c = config
    spec = clip_spec(c, c.dataset.frame_stride, c.model.architecture)

    def find() -> _Videos:
        tell = print_rendering if workers.is_chief else lambda done, total: None
        reader = ClipReader(build_index(c.dataset, c.data.max_bad_frac, tell), spec, c.seed, c.data.timeout_s)
        if c.overfit_clips is not None:
            reader = reader_of_few(reader, c.overfit_clips, over_classes=False)
        batch = make_probe_batch(reader, len(reader.index.paths), lambda example: _probe_mask(c, example), PROBE_CLIPS)
        return _Videos(reader.index, reader, batch)

    return workers.chief_first(find)  # it may have to render the demo's files


def _probe_mask(config: PretrainConfig, example: int) -> np.ndarray:
    """Of a clip that is looked at; what was learnt by heart is looked at as it was trained on."""
    if config.overfit_clips is not None:
        return training_masks(config)(0, example, 0)
    return drawn_mask(config, generator(config.seed, "probe mask", example))


def _build(
    config: PretrainConfig, plan: TrainingPlan, strategy: tf.distribute.Strategy
) -> tuple[Pretrainer, Optimizer]:
    """Model and optimizer under the strategy, their initial values a function of the run's seed."""
    keras.utils.set_random_seed(config.seed)  # Keras' initialisers have no other way to be seeded together
    with strategy.scope():
        architecture = suited_to_devices(config.architecture, config.model.attention_chunk)
        model = Pretrainer(architecture, name="pretrainer", dtype=compute_dtype(config.precision))
        model.build()
        guard = UpdateGuard(config.skippable_steps, config.loss_scale if config.precision == "float16" else None)
        average = None if config.ema_decay is None else WeightAverage(model, config.ema_decay)
        rates = (plan.learning_rate, plan.weight_decay)
        return model, configured_optimizer(model, config.optimizer, *rates, guard, average)
