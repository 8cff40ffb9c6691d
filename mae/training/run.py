"""A pre-training run from a config: build, resume, train, say what came out."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from omegaconf import OmegaConf

from mae.checkpoints.load import load_checkpoint
from mae.config import PretrainConfig
from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader, ClipSpec
from mae.data.lists.index import VideoIndex, build_index
from mae.data.pipeline import training_batches
from mae.errors import ConfigError, Interrupted, TrainingStopped
from mae.evaluation.probe_batch import ProbeBatch, make_probe_batch
from mae.masking import MASKS
from mae.models.norms import set_norm_epsilons
from mae.models.pretrainer import Pretrainer
from mae.monitoring.console import format_progress, format_table
from mae.monitoring.metrics import MetricsLog
from mae.monitoring.panels import save_png
from mae.monitoring.wandb_run import WandbMonitor
from mae.presets import Architecture
from mae.training.loop import Cadence, Hooks, Record, train
from mae.training.messages import goodbye, run_rows, tell_rendering, verdict
from mae.training.optimizer import Optimizer, configured_optimizer
from mae.training.plan import TrainingPlan
from mae.training.pretraining import pretraining_step
from mae.training.run_directory import RunDirectory, changes
from mae.training.run_state import Checkpoint, Checkpoints, assign_arrays, read_checkpoint, variables_to_arrays
from mae.training.strategy import compute_dtype, make_strategy

PROBE_CLIPS = 4


def pretrain(config: PretrainConfig) -> None:
    """Starts or continues the run that `config` describes.

    Raises:
        ConfigError: the config, the data and the machine do not fit together; nothing on disk was changed.
        TrainingStopped, Interrupted: see `mae.training.loop.train`.
    """
    directory = RunDirectory(config.run_dir)
    directory.check(config.resume)
    checkpoint = _checkpoint_to_resume(config, directory)
    changed = [] if checkpoint is None else changes(checkpoint.meta["config"], asdict(config), checkpoint.path)
    index = build_index(config.dataset, config.data.max_bad_frac, tell_rendering)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = make_strategy(config.strategy)
    if config.jit and strategy.num_replicas_in_sync > 1:
        raise ConfigError(f"jit=true needs one replica, found {strategy.num_replicas_in_sync}: give strategy=single")
    plan = TrainingPlan(config, len(index.paths), strategy.num_replicas_in_sync)
    architecture = config.model.architecture
    spec = ClipSpec(architecture.num_frames, config.dataset.frame_stride, architecture.image_size, config.data.crop)
    reader = ClipReader(index, spec, config.seed)
    probe = make_probe_batch(
        reader, len(index.paths), config.masking, config.mask_ratio, architecture.grid, config.seed, PROBE_CLIPS
    )
    sizes = {"preset": config.model.preset, **asdict(architecture)}
    print(OmegaConf.to_yaml(OmegaConf.create(asdict(config) | {"model": sizes})))
    with directory:
        run = _build(config, plan, directory, strategy, index, reader, probe)
        first_step, wandb_run_id = run.restore(checkpoint, changed)
        run.train(first_step, wandb_run_id)
    print(goodbye(directory.path, index))


@dataclass(frozen=True)
class _Run:
    """The parts of a run, and what the loop asks of them."""

    config: PretrainConfig
    plan: TrainingPlan
    directory: RunDirectory
    strategy: tf.distribute.Strategy
    index: VideoIndex
    reader: ClipReader
    probe: ProbeBatch
    model: Pretrainer
    optimizer: Optimizer
    checkpoints: Checkpoints

    def restore(self, checkpoint: Checkpoint | None, changed: list[str]) -> tuple[int, str | None]:
        """Fills the model: from the checkpoint to go on from, else from `init_from`, else at random.

        Returns:
            Steps made so far, and the W&B run to go on with.
        """
        if checkpoint is None:
            print(f"new run in {self.directory.path}")
            if self.config.init_from is not None:
                self._start_from(self.config.init_from)
            return 0, None
        self._check_same_videos(checkpoint)
        assign_arrays(self._state(), checkpoint.arrays, checkpoint.path)
        set_norm_epsilons(self.model, Architecture(**checkpoint.meta["architecture"]))
        print(f"resumed from {checkpoint.path}, {checkpoint.step} steps made")
        for line in changed:
            print(f"  changed since: {line}")
        return checkpoint.step, checkpoint.meta["wandb_run_id"]

    def _start_from(self, source: str) -> None:
        if Path(source).resolve() == self.directory.path.resolve():
            raise ConfigError(f"init_from={source} is this run itself; resume=auto continues it")
        c = self.config
        report = load_checkpoint(source, self.model, c.allow_missing or (), positions=c.init_positions)
        print(report.table())
        if report.fresh_decoder:
            print("NOTE: the decoder starts at random: the loss starts as if nothing had been learnt")

    def train(self, first_step: int, wandb_run_id: str | None) -> None:
        """Trains to the end, unless that is reached already."""
        config, plan = self.config, self.plan
        parts = run_rows(config, self.index, self.optimizer, self.strategy, self.model)
        print(format_table([*plan.rows(), *parts], "run"))
        if first_step >= plan.total_steps:
            print(f"the run is complete: {first_step} of {plan.total_steps} steps are made")
            return
        self.directory.write_config(asdict(config))
        print(f"starting W&B (wandb.mode={config.wandb.mode}); without an answer, up to a minute", flush=True)
        monitor = WandbMonitor.start(
            config.wandb.mode,
            self.directory.path,
            wandb_run_id,
            config.wandb.project,
            config.wandb.name or self.directory.path.name,
            asdict(config) | dict(plan.rows()),
            group=self.directory.path.name,
        )
        print(monitor.describe(), flush=True)
        bad_videos = BadVideos(self.directory.bad_videos, len(self.index.paths), config.data.max_bad_frac)
        status = 1
        try:
            with MetricsLog(self.directory.metrics, resume_step=first_step) as metrics:
                hooks = Hooks(
                    log=lambda record: self._log(record, metrics, monitor),
                    evaluate=lambda step: self._evaluate(step, monitor),
                    save=lambda step: self._save(step, monitor.run_id),
                    check_videos=bad_videos.raise_if_too_many,
                )
                if first_step == 0 and config.init_from is not None:
                    self._log_initial(metrics, monitor)
                batches = self._batches(first_step, bad_videos)
                train(self._step_function(), batches, first_step, self._cadence(), hooks)
            status = 0
        except Interrupted as stop:
            again = f"{stop}; the same command goes on from there ({self.directory.path})"
            raise Interrupted(stop.signum, again) from stop
        finally:
            monitor.finish(status)

    def _state(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.optimizer.variables]

    def _check_same_videos(self, checkpoint: Checkpoint) -> None:
        if checkpoint.meta["list_digest"] != self.index.digest:
            raise ConfigError(
                f"{checkpoint.path} was trained on another list of videos than the {len(self.index.paths)} found now: "
                "restore the list, or give another run_dir"
            )

    def _cadence(self) -> Cadence:
        c = self.config
        return Cadence(
            total_steps=self.plan.total_steps,
            steps_per_epoch=self.plan.steps_per_epoch,
            batch_size=c.batch_size,
            log_every=c.log_every,
            checkpoint_every=c.checkpoint_every,
            evaluate_every=c.evaluate_every,
        )

    def _step_function(self) -> Any:
        c = self.config
        return pretraining_step(
            self.strategy,
            self.model,
            self.optimizer,
            target=c.target,
            num_masked=c.num_masked,
            batch_size=c.batch_size,
            accumulate=c.accumulate,
            jit=c.jit,
        )

    def _batches(self, first_step: int, bad_videos: BadVideos) -> Iterator[Any]:
        c, a = self.config, self.config.model.architecture

        def pipeline(_: tf.distribute.InputContext) -> tf.data.Dataset:
            return training_batches(
                self.reader,
                lambda rng: MASKS[c.masking](a.grid, c.mask_ratio, seed=rng)[0],
                bad_videos,
                seed=c.seed,
                batch_size=c.batch_size,
                first_step=first_step,
                num_steps=self.plan.total_steps - first_step,
                data=c.data,
                noise_width=2 * a.depth if a.drop_path_rate > 0 else 0,
                replica_batch=c.batch_size // self.strategy.num_replicas_in_sync,
            )

        return iter(self.strategy.distribute_datasets_from_function(pipeline))

    def _log(self, record: Record, metrics: MetricsLog, monitor: WandbMonitor) -> None:
        metrics.write(record)
        monitor.log(record["step"], record)
        print(format_progress(record, self.plan.total_steps), flush=True)

    def _log_initial(self, metrics: MetricsLog, monitor: WandbMonitor) -> None:
        """What the loaded weights make of the probe batch: badly loaded ones show here, before any training."""
        record = {"step": 0, **self._evaluate(0, monitor)}
        print(f"probe loss right after loading: {record['probe_loss']:.4f}")
        self._log(record, metrics, monitor)

    def _evaluate(self, step: int, monitor: WandbMonitor) -> Record:
        target = self.config.target
        loss = self.probe.loss(self.model, target)
        reconstruction = self.probe.reconstruct(self.model, target)
        path = self.directory.reconstructions / f"step_{step:08d}.png"
        save_png(path, reconstruction.picture(step, loss))
        monitor.log_image(step, "reconstruction", path)
        if step == self.plan.total_steps:
            print(verdict(loss, self.probe.trivial_loss(self.model, target), target))
        return {"probe_loss": loss, "psnr": reconstruction.psnr}

    def _save(self, step: int, wandb_run_id: str | None) -> None:
        meta = {
            "step": step,
            "wandb_run_id": wandb_run_id,
            "list_digest": self.index.digest,
            "config": asdict(self.config),
            "architecture": asdict(self.model.architecture),
            "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "mae-video")},
        }
        try:
            self.checkpoints.save(variables_to_arrays(self._state()), meta)
        except OSError as error:
            raise TrainingStopped(
                f"the checkpoint of step {step} cannot be written ({error.strerror}); earlier ones are kept"
            ) from error


def _checkpoint_to_resume(config: PretrainConfig, directory: RunDirectory) -> Checkpoint | None:
    """The run's own newest checkpoint; for a run that has none yet, the one that `resume=` names.

    Raises:
        ConfigError: the named one cannot be read, or is one of this run that later ones follow.
    """
    own = Checkpoints(directory.checkpoints, config.keep_checkpoints)
    if config.resume in ("auto", "never"):
        return own.newest(warn=print)
    try:
        named = read_checkpoint(Path(config.resume))
    except ConfigError as error:
        raise ConfigError(f"{error}. resume= continues a run; weights to start from go into init_from=") from error
    newest = own.newest(warn=print)
    if newest is None or newest.step == named.step:
        return named
    if named.path.resolve().parent == directory.checkpoints.resolve():
        raise ConfigError(
            f"run_dir={directory.path} goes on to step {newest.step} after {named.path.name}: "
            "give another run_dir to go another way from there"
        )
    print(f"{directory.path} has checkpoints of its own; resume={config.resume} was where it started")
    return newest


def _build(
    config: PretrainConfig,
    plan: TrainingPlan,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy,
    index: VideoIndex,
    reader: ClipReader,
    probe: ProbeBatch,
) -> _Run:
    """Model and optimizer under the strategy, their initial values a function of the run's seed."""
    keras.utils.set_random_seed(config.seed)  # Keras' initialisers have no other way to be seeded together
    with strategy.scope():
        dtype = compute_dtype(config.precision)
        model = Pretrainer(config.model.architecture, name="pretrainer", dtype=dtype)
        model.build()
        optimizer = configured_optimizer(model, config.optimizer, plan.learning_rate, plan.weight_decay)
    checkpoints = Checkpoints(directory.checkpoints, config.keep_checkpoints)
    return _Run(config, plan, directory, strategy, index, reader, probe, model, optimizer, checkpoints)
