"""A fine-tuning run from a config: hand over, train, validate, test."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import tensorflow as tf
from omegaconf import OmegaConf

from mae.checkpoints.load import load_weights
from mae.checkpoints.run_state import Checkpoint, Checkpoints
from mae.checkpoints.weights import Weights
from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader, ClipSpec
from mae.data.config import TestViews
from mae.data.few import reader_of_few
from mae.data.footprint import Footprint
from mae.data.lists.index import VideoIndex
from mae.data.lists.splits import Splits, build_splits, how_to_hold_out
from mae.data.shapes.render import print_rendering
from mae.engines.tensorflow.distribute import distributed
from mae.engines.tensorflow.guard import UpdateGuard
from mae.engines.tensorflow.inference import Logits, replicated_logits
from mae.engines.tensorflow.optimizer import Optimizer, configured_optimizer
from mae.engines.tensorflow.strategy import compute_dtype, make_strategy, suited_to_devices
from mae.engines.tensorflow.weight_average import WeightAverage
from mae.engines.tensorflow.workers import connected_workers
from mae.errors import ConfigError, TrainingStopped
from mae.evaluation.multi_view.evaluator import VideoEvaluation, report_table
from mae.finetuning.batches import labelled_batches
from mae.finetuning.best_weights import BestWeights
from mae.finetuning.class_names import agreed_names
from mae.finetuning.config import FinetuneConfig
from mae.finetuning.evaluate import video_evaluation
from mae.finetuning.handoff import freeze, weights_to_start_from
from mae.finetuning.plan import FinetunePlan
from mae.finetuning.report import farewell, finetune_rows
from mae.finetuning.step import finetuning_step
from mae.models.classifier import Classifier
from mae.monitoring.console import format_table
from mae.monitoring.metrics import read_metrics
from mae.training.clips import clip_spec, clips_in_memory
from mae.training.journal import Journal
from mae.training.loop import StepFunction
from mae.training.meter import Cadence, Record
from mae.training.overfit import overfit_course, overfit_row, overfitting
from mae.training.resume import checkpoint_to_resume
from mae.training.run_directory import RunDirectory
from mae.training.session import Objective, Progress, Session


def finetune(config: FinetuneConfig) -> None:
    """Starts or continues the run that `config` describes, and tests it at its end.

    Raises:
        ConfigError: the config, the data and the machine do not fit together; nothing on disk was changed.
        TrainingStopped, Interrupted: see `mae.training.loop.train`.
    """
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    workers = connected_workers(make_strategy(config.strategy))
    config = overfitting(config)
    directory = RunDirectory(config.run_dir)
    directory.check(config.resume)
    checkpoint, changed = checkpoint_to_resume(config, directory, workers.say)
    splits = build_splits(config.dataset, config.data.max_bad_frac, print_rendering)
    spec = clip_spec(config, config.dataset.frame_stride, config.model.architecture)
    listed = splits.train  # all of it says what the classes are
    if config.overfit_clips is not None:
        reader = ClipReader(listed, spec, config.seed, config.data.timeout_s)
        few = reader_of_few(reader, config.overfit_clips, over_classes=True).index
        splits = Splits(few, few, few)
    plan = FinetunePlan(config, len(splits.train.paths), workers.strategy.num_replicas_in_sync)
    if config.jit and plan.num_replicas > 1:
        raise ConfigError(f"jit=true needs one replica, found {plan.num_replicas}: give strategy=single")
    footprint = clips_in_memory(config, spec, workers.count)
    weights = None if checkpoint is not None else weights_to_start_from(config)
    class_names = agreed_names(listed, config, weights, checkpoint)
    sizes = {"preset": config.model.preset, **asdict(config.model.architecture)}
    print(OmegaConf.to_yaml(OmegaConf.create(asdict(config) | {"model": sizes})))
    with directory:
        model, optimizer = _build(config, plan, workers.strategy, len(class_names))
        session = Session(config, workers, directory, model, optimizer, splits.train.digest)
        logits = replicated_logits(workers.strategy, model)
        run = _Finetuning(config, plan, session, splits, class_names, spec, footprint, logits)
        progress = run.start(weights) if checkpoint is None else run.restore(checkpoint, changed)
        run.train(progress)
        run.test()
    print(farewell(directory.path, splits.test or splits.train))


@dataclass(frozen=True)
class _Finetuning:
    """What is fine-tuning's own in a run."""

    config: FinetuneConfig
    plan: FinetunePlan
    session: Session
    splits: Splits
    class_names: tuple[str, ...]
    spec: ClipSpec
    footprint: Footprint
    logits: Logits
    best: BestWeights = field(default_factory=BestWeights)

    def start(self, weights: Weights | None) -> Progress:
        """A new run: the encoder handed over, the head fresh; without `weights`, all of it at random."""
        session = self.session
        print(f"new run in {session.directory.path}")
        if weights is None:
            print("NOTE: init_from is not set: the encoder starts at random, this is training from scratch")
            return Progress()
        report = load_weights(weights, session.model, positions=self.config.init_positions)
        if session.optimizer.average is not None:
            session.optimizer.average.restart()
        print(report.table())
        return Progress()

    def restore(self, checkpoint: Checkpoint, changed: list[str]) -> Progress:
        """Goes on from a checkpoint."""
        progress = self.session.restore(checkpoint, changed)
        self.best.restore(checkpoint.meta.get("best"))
        return progress

    def train(self, progress: Progress) -> None:
        """Trains to the end, unless that is reached already."""
        c, plan, session = self.config, self.plan, self.session
        memory = ("clips in memory", str(self.footprint))
        rows = [*plan.rows(), memory, *overfit_row(c.overfit_clips, "clip"), *finetune_rows(c, self.splits, session)]
        print(format_table(rows, "run"), flush=True)
        if progress.step >= plan.total_steps:
            print(f"the training is complete: {progress.step} of {plan.total_steps} steps are made")
        else:
            self._train(progress)
        if c.overfit_clips is not None:
            print(overfit_course(c.overfit_clips, read_metrics(session.directory.metrics)))

    def _train(self, progress: Progress) -> None:
        c, plan, session = self.config, self.plan, self.session
        bad_videos = BadVideos(
            session.directory.bad_videos_of(session.workers.index), plan.num_videos, c.data.max_bad_frac
        )
        reader = self._reader(self.splits.train)
        objective = Objective(
            step_function=self._step_function(),
            batches=lambda first_step: distributed(
                session.workers.strategy,
                labelled_batches(
                    c, reader, bad_videos, first_step, plan.total_steps - first_step, self.footprint.prefetch
                ),
            ),
            evaluate=self._validate,
            check=bad_videos.raise_if_too_many,
            cadence=Cadence.of(c, plan, plan.validate_every),
            state=lambda: {"id2label": self._id2label, "best": self.best.state()},
        )
        session.train(objective, progress, figures=dict(plan.rows()))

    def test(self) -> None:
        """The multi-view test of the newest checkpoint, which is what the model holds."""
        index, session = self.splits.test, self.session
        if index is None:
            print(f"NOTE: no list to test on, so no test: {how_to_hold_out(self.config.dataset)}")
            return
        print(f"testing on {len(index.paths)} videos", flush=True)
        tested = Checkpoints(session.directory.checkpoints, self.config.keep_checkpoints).paths()[-1]
        with session.averaged_weights():
            content = self._evaluation(index).test(session.directory.path, self.config.test, tested)
        print(report_table(content, session.directory.path))
        if self.best.step is not None and self.best.step != self.plan.total_steps:
            print(f"the best validation, {100 * self.best.top1:.2f} %, was at step {self.best.step}: {self._best_path}")

    @property
    def _best_path(self) -> Path:
        return self.session.directory.checkpoints / "best.npz"

    @property
    def _id2label(self) -> dict[str, str]:
        return {str(number): name for number, name in enumerate(self.class_names)}

    def _reader(self, index: VideoIndex) -> ClipReader:
        return ClipReader(index, self.spec, self.config.seed, self.config.data.timeout_s)

    def _evaluation(self, index: VideoIndex) -> VideoEvaluation:
        strategy = self.session.workers.strategy
        return video_evaluation(self.config, strategy, self.logits, self._reader(index), self.class_names)

    def _step_function(self) -> StepFunction:
        c, session = self.config, self.session
        return finetuning_step(
            session.workers.strategy,
            session.model,
            session.optimizer,
            label_smoothing=c.mixing.label_smoothing,
            group=self.plan.mixing_group,
            batch_size=c.batch_size,
            accumulate=c.accumulate,
            jit=c.jit,
        )

    def _validate(self, step: int, _: Journal) -> Record:
        """One clip in the middle of each held-out video; keeps the weights that are the best so far."""
        if self.splits.val is None:
            return {}
        figures = self._evaluation(self.splits.val).validate(TestViews(self.config.test.sampler, clips=1, crops=1))
        if self.best.improves(figures.top1):
            self.best.note(figures.top1, step)
            meta = self.session.meta(step) | {"id2label": self._id2label, "best": self.best.state()}
            try:
                self.best.write(self._best_path, self.session.model, meta)
            except OSError as error:
                raise TrainingStopped(
                    f"{self._best_path} cannot be written ({error.strerror}); earlier checkpoints are kept"
                ) from error
        failed = {"val_failed": figures.failed} if figures.failed else {}
        return {"val_top1": figures.top1, "val_top5": figures.top5, **failed}


def _build(
    config: FinetuneConfig, plan: FinetunePlan, strategy: tf.distribute.Strategy, num_classes: int
) -> tuple[Classifier, Optimizer]:
    """Model and optimizer under the strategy, their initial values a function of the run's seed."""
    keras.utils.set_random_seed(config.seed)  # Keras' initialisers have no other way to be seeded together
    c = config
    with strategy.scope():
        model = Classifier(
            suited_to_devices(c.model.architecture, c.model.attention_chunk),
            num_classes,
            c.head_dropout_rate,
            c.pooling,
            c.init_scale,
            name="classifier",
            dtype=compute_dtype(c.precision),
        )
        model.build()
        freeze(model, c.frozen_blocks)
        guard = UpdateGuard(c.skippable_steps, c.loss_scale if c.precision == "float16" else None)
        average = None if c.ema_decay is None else WeightAverage(model, c.ema_decay)
        return model, configured_optimizer(model, c.optimizer, plan.learning_rate, plan.weight_decay, guard, average)
