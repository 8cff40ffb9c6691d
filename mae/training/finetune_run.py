"""A fine-tuning run from a config: hand over, train, validate, test."""

from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from omegaconf import OmegaConf

from mae.checkpoints.load import load_weights
from mae.checkpoints.weights import Weights
from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader
from mae.data.config import TestViews
from mae.data.lists.index import VideoIndex
from mae.data.lists.splits import Splits, build_splits, how_to_hold_out
from mae.errors import ConfigError, Interrupted, TrainingStopped
from mae.evaluation.replicated import Logits, replicated_logits
from mae.evaluation.video_test import report_table
from mae.finetune_config import FinetuneConfig
from mae.models.classifier import Classifier
from mae.models.norms import set_norm_epsilons
from mae.monitoring.console import format_progress, format_table
from mae.monitoring.metrics import MetricsLog
from mae.monitoring.wandb_run import WandbMonitor
from mae.presets import Architecture
from mae.training.best_weights import BestWeights
from mae.training.class_names import agreed_names
from mae.training.evaluation_run import clip_spec, video_evaluation
from mae.training.finetune_messages import farewell, finetune_rows
from mae.training.finetune_plan import FinetunePlan
from mae.training.finetuning import finetuning_step
from mae.training.freezing import freeze
from mae.training.handoff import weights_to_start_from
from mae.training.labelled_batches import labelled_batches
from mae.training.loop import Cadence, Hooks, Record, train
from mae.training.messages import tell_rendering
from mae.training.optimizer import Optimizer, build_optimizer
from mae.training.run import _checkpoint_to_resume
from mae.training.run_directory import RunDirectory, changes
from mae.training.run_state import Checkpoint, Checkpoints, assign_arrays, variables_to_arrays
from mae.training.strategy import compute_dtype, make_strategy


def finetune(config: FinetuneConfig) -> None:
    """Starts or continues the run that `config` describes, and tests it at its end.

    Raises:
        ConfigError: the config, the data and the machine do not fit together; nothing on disk was changed.
        TrainingStopped, Interrupted: see `mae.training.loop.train`.
    """
    directory = RunDirectory(config.run_dir)
    directory.check(config.resume)
    checkpoint = _checkpoint_to_resume(config, directory)  # type: ignore[arg-type]
    changed = [] if checkpoint is None else changes(checkpoint.meta["config"], asdict(config), checkpoint.path)
    splits = build_splits(config.dataset, config.data.max_bad_frac, tell_rendering)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = make_strategy(config.strategy)
    if config.jit and strategy.num_replicas_in_sync > 1:
        raise ConfigError(f"jit=true needs one replica, found {strategy.num_replicas_in_sync}: give strategy=single")
    plan = FinetunePlan(config, len(splits.train.paths), strategy.num_replicas_in_sync)
    weights = None if checkpoint is not None else weights_to_start_from(config)
    class_names = agreed_names(splits.train, config, weights, checkpoint)
    sizes = {"preset": config.model.preset, **asdict(config.model.architecture)}
    print(OmegaConf.to_yaml(OmegaConf.create(asdict(config) | {"model": sizes})))
    with directory:
        run = _build(config, plan, directory, strategy, splits, class_names)
        if checkpoint is None:
            run.start(weights)
        else:
            run.restore(checkpoint, changed)
        run.train(checkpoint)
        run.test()
    print(farewell(directory.path, splits.test or splits.train))


@dataclass(frozen=True)
class _Run:
    """The parts of a run, and what the loop asks of them."""

    config: FinetuneConfig
    plan: FinetunePlan
    directory: RunDirectory
    strategy: tf.distribute.Strategy
    splits: Splits
    class_names: tuple[str, ...]
    model: Classifier
    optimizer: Optimizer
    checkpoints: Checkpoints
    logits: Logits
    best: BestWeights = field(default_factory=BestWeights)

    def start(self, weights: Weights | None) -> None:
        """A new run: the encoder handed over, the head fresh; without `weights`, all of it at random."""
        print(f"new run in {self.directory.path}")
        if weights is None:
            print("NOTE: init_from is not set: the encoder starts at random, this is training from scratch")
            return
        report = load_weights(weights, self.model, positions=self.config.init_positions)
        print(report.table())

    def restore(self, checkpoint: Checkpoint, changed: list[str]) -> None:
        """Fills the model and the optimizer from the checkpoint to go on from."""
        if checkpoint.meta["list_digest"] != self.splits.train.digest:
            raise ConfigError(
                f"{checkpoint.path} was trained on another list of videos than the {self.plan.num_videos} found now: "
                "restore the list, or give another run_dir"
            )
        assign_arrays(self._state(), checkpoint.arrays, checkpoint.path)
        set_norm_epsilons(self.model, Architecture(**checkpoint.meta["architecture"]))
        self.best.restore(checkpoint.meta.get("best"))
        print(f"resumed from {checkpoint.path}, {checkpoint.step} steps made")
        for line in changed:
            print(f"  changed since: {line}")

    def train(self, checkpoint: Checkpoint | None) -> None:
        """Trains to the end, unless that is reached already."""
        config, plan = self.config, self.plan
        first_step = 0 if checkpoint is None else checkpoint.step
        parts = finetune_rows(config, self.splits, self.optimizer, self.strategy, self.model)
        print(format_table([*plan.rows(), *parts], "run"))
        if first_step >= plan.total_steps:
            print(f"the training is complete: {first_step} of {plan.total_steps} steps are made")
            return
        self.directory.write_config(asdict(config))
        print(f"starting W&B (wandb.mode={config.wandb.mode}); without an answer, up to a minute", flush=True)
        monitor = WandbMonitor.start(
            config.wandb.mode,
            self.directory.path,
            None if checkpoint is None else checkpoint.meta["wandb_run_id"],
            config.wandb.project,
            config.wandb.name or self.directory.path.name,
            asdict(config) | dict(plan.rows()),
            group=self.directory.path.name,
        )
        print(monitor.describe(), flush=True)
        bad_videos = BadVideos(self.directory.bad_videos, plan.num_videos, config.data.max_bad_frac)
        status = 1
        try:
            with MetricsLog(self.directory.metrics, resume_step=first_step) as metrics:
                hooks = Hooks(
                    log=lambda record: self._log(record, metrics, monitor),
                    evaluate=self._validate,
                    save=lambda step: self._save(step, monitor.run_id),
                    check_videos=bad_videos.raise_if_too_many,
                )
                reader = self._reader(self.splits.train)
                batches = labelled_batches(config, plan, self.strategy, reader, bad_videos, first_step)
                train(self._step_function(), batches, first_step, self._cadence(), hooks)
            status = 0
        except Interrupted as stop:
            again = f"{stop}; the same command goes on from there ({self.directory.path})"
            raise Interrupted(stop.signum, again) from stop
        finally:
            monitor.finish(status)

    def test(self) -> None:
        """The multi-view test of the newest checkpoint, which is what the model holds."""
        index = self.splits.test
        if index is None:
            print(f"NOTE: no list to test on, so no test: {how_to_hold_out(self.config.dataset)}")
            return
        print(f"testing on {len(index.paths)} videos", flush=True)
        evaluation = video_evaluation(self.config, self.strategy, self.logits, self._reader(index), self.class_names)
        content = evaluation.test(self.directory.path, self.config.test, self.checkpoints.paths()[-1])
        print(report_table(content, self.directory.path))
        if self.best.step is not None and self.best.step != self.plan.total_steps:
            print(f"the best validation, {100 * self.best.top1:.2f} %, was at step {self.best.step}: {self._best_path}")

    @property
    def _best_path(self) -> Path:
        return self.directory.checkpoints / "best.npz"

    def _state(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.optimizer.variables]

    def _reader(self, index: VideoIndex) -> ClipReader:
        spec = clip_spec(self.config, self.model.architecture)
        return ClipReader(index, spec, self.config.seed, self.config.data.timeout_s)

    def _cadence(self) -> Cadence:
        c = self.config
        return Cadence(
            total_steps=self.plan.total_steps,
            steps_per_epoch=self.plan.steps_per_epoch,
            batch_size=c.batch_size,
            log_every=c.log_every,
            checkpoint_every=c.checkpoint_every,
            evaluate_every=self.plan.evaluate_every,
        )

    def _step_function(self) -> Any:
        c = self.config
        return finetuning_step(
            self.strategy,
            self.model,
            self.optimizer,
            label_smoothing=c.mixing.label_smoothing,
            group=self.plan.mixing_group,
            batch_size=c.batch_size,
            accumulate=c.accumulate,
            jit=c.jit,
        )

    def _log(self, record: Record, metrics: MetricsLog, monitor: WandbMonitor) -> None:
        metrics.write(record)
        monitor.log(record["step"], record)
        print(format_progress(record, self.plan.total_steps), flush=True)

    def _validate(self, step: int) -> Record:
        """One clip in the middle of each held-out video; keeps the weights that are the best so far."""
        if self.splits.val is None:
            return {}
        reader = self._reader(self.splits.val)
        evaluation = video_evaluation(self.config, self.strategy, self.logits, reader, self.class_names)
        figures = evaluation.validate(TestViews(self.config.test.sampler, clips=1, crops=1))
        if self.best.improves(figures.top1):
            self.best.note(figures.top1, step)
            self._write(lambda: self.best.write(self._best_path, self.model, self._meta(step)), f"{self._best_path}")
        failed = {"val_failed": figures.failed} if figures.failed else {}
        return {"val_top1": figures.top1, "val_top5": figures.top5, **failed}

    def _meta(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "list_digest": self.splits.train.digest,
            "config": asdict(self.config),
            "architecture": asdict(self.model.architecture),
            "id2label": {str(number): name for number, name in enumerate(self.class_names)},
            "best": self.best.state(),
            "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "mae-video")},
        }

    def _save(self, step: int, wandb_run_id: str | None) -> None:
        meta = self._meta(step) | {"wandb_run_id": wandb_run_id}
        arrays = variables_to_arrays(self._state())
        self._write(lambda: self.checkpoints.save(arrays, meta), f"the checkpoint of step {step}")

    @staticmethod
    def _write(write: Any, what: str) -> None:
        try:
            write()
        except OSError as error:
            raise TrainingStopped(f"{what} cannot be written ({error.strerror}); earlier ones are kept") from error


def _build(
    config: FinetuneConfig,
    plan: FinetunePlan,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy,
    splits: Splits,
    class_names: tuple[str, ...],
) -> _Run:
    """Model and optimizer under the strategy, their initial values a function of the run's seed."""
    keras.utils.set_random_seed(config.seed)  # Keras' initialisers have no other way to be seeded together
    c, o = config, config.optimizer
    with strategy.scope():
        model = Classifier(
            c.model.architecture,
            len(class_names),
            c.head_dropout_rate,
            c.pooling,
            c.init_scale,
            name="classifier",
            dtype=compute_dtype(c.precision),
        )
        model.build()
        freeze(model, c.frozen_blocks)
        optimizer = build_optimizer(
            model,
            plan.learning_rate,
            plan.weight_decay,
            beta_1=o.beta_1,
            beta_2=o.beta_2,
            epsilon=o.epsilon,
            layer_decay=o.layer_decay,
            clip_grad_norm=o.clip_grad_norm,
        )
    checkpoints = Checkpoints(directory.checkpoints, c.keep_checkpoints)
    logits = replicated_logits(strategy, model)
    return _Run(c, plan, directory, strategy, splits, class_names, model, optimizer, checkpoints, logits)
