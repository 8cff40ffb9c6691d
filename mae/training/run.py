"""A pre-training run from a config: build, resume, train, say what came out."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from omegaconf import OmegaConf

from mae.config import PretrainConfig
from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader, ClipSpec
from mae.data.index import VideoIndex, build_index
from mae.data.pipeline import training_batches
from mae.errors import ConfigError, Interrupted
from mae.evaluation.probe_batch import ProbeBatch, make_probe_batch
from mae.masking import MASKS
from mae.models.pretrainer import Pretrainer
from mae.monitoring.console import format_progress, format_table
from mae.monitoring.metrics import MetricsLog
from mae.monitoring.panels import save_png
from mae.monitoring.wandb_run import WandbMonitor
from mae.training.loop import Cadence, Hooks, Record, train
from mae.training.optimizer import Optimizer, build_optimizer
from mae.training.plan import TrainingPlan
from mae.training.pretraining import pretraining_step
from mae.training.run_directory import RunDirectory
from mae.training.run_state import Checkpoint, Checkpoints, assign_arrays, read_checkpoint, variables_to_arrays
from mae.training.strategy import compute_dtype, describe_devices, make_strategy

PROBE_CLIPS = 4


def pretrain(config: PretrainConfig) -> None:
    """Starts or continues the run that `config` describes.

    Raises:
        ConfigError: the config, the data and the machine do not fit together; nothing on disk was changed.
        TrainingStopped, Interrupted: see `mae.training.loop.train`.
    """
    directory = RunDirectory(config.run_dir)
    directory.check(config.resume)
    changes = directory.changes(asdict(config))
    index = build_index(config.dataset, config.data.max_bad_frac, _tell_rendering)
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
        first_step, wandb_run_id = run.restore(changes)
        run.train(first_step, wandb_run_id)
    print(_goodbye(directory, index))


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

    def restore(self, changes: list[str]) -> tuple[int, str | None]:
        """Fills model and optimizer from the checkpoint to go on from, if there is one.

        Returns:
            Steps made so far, and the W&B run to go on with.
        """
        if self.config.resume in ("auto", "never"):
            checkpoint = self.checkpoints.newest(warn=print)
        else:
            checkpoint = read_checkpoint(Path(self.config.resume))
        if checkpoint is None:
            print(f"new run in {self.directory.path}")
            return 0, None
        self._check_same_videos(checkpoint)
        assign_arrays(self._state(), checkpoint.arrays, checkpoint.path)
        print(f"resumed from {checkpoint.path}, {checkpoint.step} steps made")
        for line in changes:
            print(f"  changed since: {line}")
        return checkpoint.step, checkpoint.meta["wandb_run_id"]

    def train(self, first_step: int, wandb_run_id: str | None) -> None:
        """Trains to the end, unless that is reached already."""
        config, plan = self.config, self.plan
        print(format_table([*plan.rows(), *self._rows()], "run"))
        if first_step >= plan.total_steps:
            print(f"the run is complete: {first_step} of {plan.total_steps} steps are made")
            return
        self.directory.write_config(asdict(config))
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

    def _rows(self) -> list[tuple[str, str]]:
        size = self.model.count_params() / 1e6
        dtype = self.model.dtype_policy.compute_dtype
        rows = [
            ("list hash", self.index.digest[:16]),
            ("first video", self.index.paths[0]),
            ("last video", self.index.paths[-1]),
            ("model", f"{self.config.model.preset}, {size:.1f} M parameters, computes in {dtype}"),
            ("target", self.config.target),
            ("devices", describe_devices(self.strategy)),
        ]
        for group in self.optimizer.groups:
            decay = "weight decay" if group.decays else "no decay"
            scale = f"learning rate × {group.learning_rate_scale:.4g}"
            size = f"{group.size} values in {len(group.variables)} tensors"
            rows.append((f"parameters: {group.layer}", f"{scale}, {decay}: {size}"))
        return rows

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

    def _evaluate(self, step: int, monitor: WandbMonitor) -> Record:
        target = self.config.target
        loss = self.probe.loss(self.model, target)
        reconstruction = self.probe.reconstruct(self.model, target)
        path = self.directory.reconstructions / f"step_{step:08d}.png"
        save_png(path, reconstruction.picture(step, loss))
        monitor.log_image(step, "reconstruction", path)
        if step == self.plan.total_steps:
            print(self._verdict(loss))
        return {"probe_loss": loss, "psnr": reconstruction.psnr}

    def _verdict(self, loss: float) -> str:
        trivial = self.probe.trivial_loss(self.model, self.config.target)
        relation = f"{100 * (1 - loss / trivial):.0f} % under" if loss < trivial else "NOT under"
        return (
            f"probe loss {loss:.4f} (target {self.config.target}): {relation} the {trivial:.4f} of the trivial "
            "predictor, which always says the average"
        )

    def _save(self, step: int, wandb_run_id: str | None) -> None:
        meta = {
            "step": step,
            "wandb_run_id": wandb_run_id,
            "list_digest": self.index.digest,
            "config": asdict(self.config),
            "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "mae-video")},
        }
        self.checkpoints.save(variables_to_arrays(self._state()), meta)


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
    o = config.optimizer
    with strategy.scope():
        dtype = compute_dtype(config.precision)
        model = Pretrainer(config.model.architecture, name="pretrainer", dtype=dtype)
        model.build()
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
    checkpoints = Checkpoints(directory.checkpoints, config.keep_checkpoints)
    return _Run(config, plan, directory, strategy, index, reader, probe, model, optimizer, checkpoints)


def _tell_rendering(done: int, total: int) -> None:
    if done in (1, total):
        print(f"rendered {done} of {total} videos of the demo set", flush=True)


def _goodbye(directory: RunDirectory, index: VideoIndex) -> str:
    return (
        f"run: {directory.path} (pictures in reconstructions/). "
        f"Next: python -m mae.reconstruct checkpoint={directory.path} video={index.paths[0]}"
    )
