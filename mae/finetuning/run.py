"""A fine-tuning run from a config: hand over, train, validate, test."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mae.checkpoints.load import load_weights
from mae.checkpoints.run_state import Checkpoint, Checkpoints
from mae.cli.telling import tell
from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader
from mae.data.config import TestViews
from mae.data.few import reader_of_few
from mae.data.lists.index import VideoIndex
from mae.data.lists.splits import Splits, build_splits, how_to_hold_out
from mae.data.rendered.render import print_rendering
from mae.engines.engine import Engine, HostBatch, Losses
from mae.errors import TrainingStopped
from mae.evaluation.multi_view.evaluator import VideoEvaluation, report_table
from mae.evaluation.tasks.table import TASKS
from mae.finetuning.batches import labelled_batches
from mae.finetuning.best_weights import BestWeights
from mae.finetuning.class_names import agreed_names
from mae.finetuning.config import FinetuneConfig
from mae.finetuning.evaluate import logits_of, video_evaluation
from mae.finetuning.handoff import freeze, learn_in_deviations, weights_to_start_from
from mae.finetuning.losses import NumbersLoss, task_loss
from mae.finetuning.plan import FinetunePlan
from mae.finetuning.report import finetune_rows, print_summary
from mae.finetuning.step import finetuning_losses
from mae.models.classifier import Classifier
from mae.models.work import classifier_flops_per_clip
from mae.signals import Check
from mae.training.caller import Caller
from mae.training.clips import clip_spec, clips_in_memory
from mae.training.journal import Journal
from mae.training.launch import launch
from mae.training.meter import Cadence, Record
from mae.training.next_commands import readable_video
from mae.training.objective import Evaluation, Objective, Row
from mae.training.overfit import overfit_row
from mae.training.run_directory import RunDirectory
from mae.training.session import Session


def finetune(config: FinetuneConfig, caller: Caller | None = None) -> None:
    """Starts or continues the run that `config` describes, and tests it at its end.

    Arguments and errors as of `mae.training.launch.launch`.
    """
    launch(config, Finetuning, caller)


class Finetuning(Objective):
    """What is fine-tuning's own in a run."""

    plan: FinetunePlan

    def __init__(self, config: FinetuneConfig, engine: Engine, checkpoint: Checkpoint | None) -> None:
        self.config = config
        self.engine = engine
        tell = print_rendering if engine.workers.is_chief else lambda done, total: None
        # Before the lists: the demo's videos are rendered where they are missing.
        self.weights = None if checkpoint is not None else weights_to_start_from(config)
        splits = build_splits(config.dataset, config.data.max_bad_frac, tell, config.data.frames, config.task)
        # All of the training list says what the classes are, also where only a few clips are learnt by heart.
        self.splits = _few(config, splits) if config.overfit_clips is not None else splits
        self.index = self.splits.train
        self.plan = FinetunePlan(config, len(self.index.paths), engine.num_replicas)
        self.cadence = Cadence.of(config, self.plan, self.plan.validate_every)
        self.footprint = clips_in_memory(config, self._reader(self.index).spec, engine.workers.count)
        self.class_names = agreed_names(splits.train, config, self.weights, checkpoint)
        self.task = TASKS[config.task]
        self.loss = task_loss(config, splits.train, len(self.class_names))
        self.scale = self.loss.scale if isinstance(self.loss, NumbersLoss) else None
        if self.weights is not None and self.scale is not None:
            learn_in_deviations(self.weights, self.scale)
        self.best = BestWeights(self.task.metric)

    def rows(self, session: Session) -> list[Row]:
        memory = ("clips in memory", str(self.footprint))
        overfit = overfit_row(self.config.overfit_clips, "clip")
        return [*self.plan.rows(), memory, *overfit, *finetune_rows(self.config, self.splits, session)]

    def figures(self) -> Mapping[str, Any]:
        return {**self.plan.figures(), "classes": len(self.class_names)}

    def trivial_loss(self) -> float:
        """Of always saying how often each class or label is, or the mean of the numbers."""
        return self.loss.trivial(self.index.truths(len(self.class_names)))

    def flops_per_clip(self) -> float:
        return classifier_flops_per_clip(
            self.config.model.architecture, len(self.class_names), self.config.frozen_blocks
        )

    def build(self, engine: Engine) -> Classifier:
        c = self.config
        model = Classifier(
            engine.suited(c.architecture, c.model.given),
            len(self.class_names),
            c.head_dropout_rate,
            c.pooling,
            c.init_scale,
            c.task,
            name="classifier",
            dtype=engine.dtype_policy(c.precision),
        )
        model.build_whole()
        freeze(model, c.frozen_blocks)
        # One for all evaluations: it is compiled when it is first called.
        self.logits = logits_of(engine, model, self.scale)
        return model

    def start(self, session: Session) -> None:
        """The encoder is handed over, the head fresh; without `init_from`, all of it is random."""
        if self.weights is None:
            session.workers.say(
                "NOTE: init_from is not set: the encoder starts at random, this is training from scratch"
            )  # fmt: skip
            return
        report = load_weights(self.weights, session.model, positions=self.config.init_positions)
        if session.optimizer.average is not None:
            session.optimizer.average.restart()
        session.workers.say(report.summary())
        self.licence = report.training.licence

    def restore(self, checkpoint: Checkpoint) -> None:
        super().restore(checkpoint)
        self.best.restore(checkpoint.meta.get("best"))

    def state(self) -> Mapping[str, Any]:
        id2label = {str(number): name for number, name in enumerate(self.class_names)}
        scale = {} if self.scale is None else {"target_scale": self.scale.as_dict()}
        return {**super().state(), "id2label": id2label, "task": self.config.task, **scale, "best": self.best.state()}

    def losses(self, model: Classifier) -> Losses:
        return finetuning_losses(model, self.loss, self.plan.mixing_group)

    def batches(self, session: Session, first_step: int, bad_videos: BadVideos) -> Iterator[HostBatch]:
        portion = session.portion(first_step, self.plan.total_steps)
        reader, outputs = self._reader(self.index), len(self.class_names)
        return labelled_batches(self.config, reader, bad_videos, portion, self.footprint.prefetch, outputs)

    def evaluation(self, session: Session) -> "Validation":
        return Validation(self, session)

    def finish(self, session: Session) -> None:
        """The multi-view test of the newest checkpoint, which is what the model holds."""
        session.workers.together(lambda: self._test(session) if session.workers.is_chief else None)
        if session.workers.is_chief:
            lists = [index for index in (self.splits.test, self.splits.train) if index is not None]
            video = next(filter(None, (readable_video(self._reader(index)) for index in lists)), None)
            tell(print_summary(session.directory.path, video))

    def evaluation_of(self, index: VideoIndex) -> VideoEvaluation:
        """The evaluation of the model on a list."""
        return video_evaluation(self.config, self.engine, self.logits, self._reader(index), self.class_names)

    def _test(self, session: Session) -> None:
        index = self.splits.test
        if index is None:
            tell(f"NOTE: no list to test on, so no test: {how_to_hold_out(self.config.dataset)}")
            return
        tell(f"testing on {len(index.paths)} videos")
        directory = session.directory
        tested = Checkpoints(directory.checkpoints, self.config.keep_checkpoints).paths()[-1]
        with session.averaged_weights():
            content = self.evaluation_of(index).test(directory.path, self.config.test, tested)
        tell(report_table(content, directory.path))
        if self.best.step is not None and self.best.step != self.plan.total_steps:
            path = best_path(directory)
            value = self.task.as_text(self.best.value)
            tell(f"the best validation, {value}, was at step {self.best.step}: {path}")

    def _reader(self, index: VideoIndex) -> ClipReader:
        c = self.config
        spec = clip_spec(c, c.dataset.frame_stride, c.model.architecture)
        return ClipReader(index, spec, c.seed, c.data.timeout_s)


@dataclass(frozen=True)
class Validation(Evaluation):
    """One clip in the middle of each held-out video; keeps the weights that are the best so far."""

    objective: Finetuning
    session: Session

    def __call__(self, step: int, journal: Journal, check: Check) -> Record:
        index, best = self.objective.splits.val, self.objective.best
        if index is None:
            return {}
        views = TestViews(self.objective.config.test.sampler, clips=1, crops=1)
        figures = self.objective.evaluation_of(index).validate(views, check)
        value = figures[best.metric]
        if value is not None and best.improves(value):
            best.note(value, step)
            self._keep_weights(step)
        failed = figures.pop("failed")
        told = {f"val_{name}": value for name, value in figures.items()}
        return {**told, "val_failed": failed} if failed else told

    def _keep_weights(self, step: int) -> None:
        path = best_path(self.session.directory)
        meta = self.session.meta(step) | dict(self.objective.state())
        try:
            self.objective.best.write(path, self.session.model, meta)
        except OSError as error:
            raise TrainingStopped(
                f"{path} cannot be written ({error.strerror}); earlier checkpoints are kept"
            ) from error  # fmt: skip


def best_path(directory: RunDirectory) -> Path:
    """The weights with the best validation of a run."""
    return directory.checkpoints / "best.npz"


def _few(config: FinetuneConfig, splits: Splits) -> Splits:
    """A few training videos, which are validated and tested on as well."""
    assert config.overfit_clips is not None
    spec = clip_spec(config, config.dataset.frame_stride, config.model.architecture)
    reader = ClipReader(splits.train, spec, config.seed, config.data.timeout_s)
    few = reader_of_few(reader, config.overfit_clips, over_classes=True).index
    return Splits(few, few, few)
