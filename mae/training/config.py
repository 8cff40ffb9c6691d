"""What may be configured about a run, whatever it trains, and about its optimizer: a dataclass for each choice."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from mae.cli.typed import PATH, Choice
from mae.data.config import DATASET_KINDS, Augmentation, DataConfig
from mae.engines.engine import Setup
from mae.engines.optimizer_config import OPTIMIZERS, OptimizerConfig
from mae.errors import ConfigError, check_at_least, check_choice
from mae.models.config import ModelConfig
from mae.monitoring.config import WandbConfig, check_monitors
from mae.options import BACKENDS, DEVICES, ON_USR1, POSITION_MODES, PRECISIONS, STRATEGIES
from mae.presets import Architecture
from mae.signals import ENDING, SAVING

SKIPPED_IN_FLOAT16 = 20  # in a row, by default: enough to halve the loss scale from its start down to 1


# Sections with a dataclass for each choice.
CHOICES = {"dataset": Choice("kind", DATASET_KINDS), "optimizer": Choice("name", OPTIMIZERS)}


@dataclass(frozen=True)
class RunConfig:
    """What any run is told."""

    model: ModelConfig
    optimizer: OptimizerConfig
    data: DataConfig
    augment: Augmentation
    wandb: WandbConfig
    monitor: list[str]  # views of metrics.jsonl elsewhere: wandb, tensorboard

    epochs: int | None  # visits to each video; null: `steps` says how long
    steps: int | None  # updates; wins over epochs
    warmup_epochs: float  # of linear warm-up from 0
    warmup_steps: int | None  # updates; wins over warmup_epochs
    batch_size: int  # in an update, over all replicas and accumulated parts: clips or videos, see `batch_counts`
    accumulate: int  # parts an update's clips are computed in, one after the other, to save memory
    overfit_clips: int | None  # a smoke test: train on so many clips, always the same; null: on all videos
    learning_rate: float  # base: for a batch_size of 256; scaled by batch_size / 256
    min_learning_rate: float  # base, likewise: at the end of the cosine
    ema_decay: float | None  # of a moving average of the weights, evaluated and exported instead of them; null: none

    backend: str  # tensorflow | jax: what Keras computes with
    precision: str  # auto: bfloat16 on GPUs that have it and on TPUs, else float32
    loss_scale: float  # float16 only: the first one; halved and doubled as gradients overflow or do not
    max_skipped_steps: int | None  # not finite, in a row, before the run stops; null: 20 in float16, 0 otherwise
    remat: str  # "blocks": compute blocks again in the backward pass instead of keeping what is inside; or "none"
    jit: bool  # TensorFlow, one replica: compile forward and backward with XLA
    strategy: str  # auto: all GPUs of this machine, else its CPU | single | mirrored | multiworker | tpu
    coordinator: str | None  # JAX, multiworker: host:port of process 0; null: Slurm says it
    process: str | None  # index/count of this process; null: Slurm says it
    shard_weights: bool  # JAX: each device of a process keeps a part of every weight
    device: str  # auto: a GPU that is there but cannot be used is a mistake | cpu: GPUs are left alone
    seed: int
    deterministic: bool  # same results bit for bit, with slower kernels

    run_dir: str = field(metadata=PATH)
    resume: str = field(
        metadata=PATH
    )  # auto: continue if the run directory holds a checkpoint | never | a checkpoint file
    # Weights a new run starts from: a checkpoint of any format, or another run.
    init_from: str | None = field(metadata=PATH)
    init_positions: str  # recompute | interpolate | replace: what becomes of fixed tables, see `load_checkpoint`
    inflate: bool  # init_from is an MAE of images, see `load_checkpoint`
    log_every: int  # steps
    checkpoint_every: int  # steps
    keep_checkpoints: int  # the newest so many
    on_usr1: str  # save and go on, or save and end: what SIGUSR1 does, which Slurm can send before the limit
    keep_every: int | None  # steps: checkpoints of its multiples are kept for ever; null: none is
    report: bool  # write report.html into the run directory at the end

    def __post_init__(self) -> None:
        object.__setattr__(self, "monitor", list(self.monitor))  # a plain list, whatever composed it
        check_monitors(self.monitor, self.wandb)
        check_choice("backend", self.backend, BACKENDS)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("strategy", self.strategy, STRATEGIES)
        check_choice("device", self.device, DEVICES)
        check_choice("on_usr1", self.on_usr1, ON_USR1)
        if self.device == "cpu" and self.strategy == "tpu":
            raise ConfigError("strategy=tpu computes on a TPU, not on the CPU: leave device=auto")
        self._check_processes()
        check_choice("init_positions", self.init_positions, POSITION_MODES)
        if self.inflate and self.init_from is None:
            raise ConfigError("inflate=true is for the MAE of images that init_from= names: give it as well")
        if self.epochs is None and self.steps is None:
            raise ConfigError("give epochs or steps: both are null")
        optional = ("epochs", "steps", "overfit_clips", "keep_every")
        required = ("batch_size", "accumulate", "log_every", "checkpoint_every", "keep_checkpoints")
        check_at_least(1, self, *required, *optional)
        for name in (
            "warmup_epochs",
            "warmup_steps",
            "learning_rate",
            "min_learning_rate",
            "max_skipped_steps",
            "seed",
        ):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigError(f"{name}={value} must not be negative")
        if self.keep_every is not None and self.keep_every % self.checkpoint_every:
            raise ConfigError(
                f"keep_every={self.keep_every} must be a multiple of checkpoint_every={self.checkpoint_every}: "
                "only what is saved can be kept"
            )
        if self.seed >= 2**32:
            raise ConfigError(f"seed={self.seed} must be below 2**32")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ConfigError(f"ema_decay={self.ema_decay} must lie between 0 and 1, or be null for no average")
        if not 1 <= self.loss_scale <= 2**24:
            raise ConfigError(f"loss_scale={self.loss_scale} must lie in [1, {2**24}]")
        channels = self.architecture.in_channels  # raises for what cannot be computed again
        self.augment.check_channels(self.data.decoding(channels).count)

    def _check_processes(self) -> None:
        if self.backend != "jax" and (self.shard_weights or self.coordinator or self.process):
            raise ConfigError("shard_weights, coordinator and process are for backend=jax; TensorFlow reads TF_CONFIG")
        if (self.coordinator is None) != (self.process is None):
            raise ConfigError("coordinator=host:port and process=index/count belong together: give both or neither")
        if self.coordinator is None or self.process is None:
            return
        if self.strategy != "multiworker":
            raise ConfigError(f"coordinator={self.coordinator} is for strategy=multiworker, not {self.strategy}")
        if not re.fullmatch(r"\S+:\d+", self.coordinator):
            raise ConfigError(f"coordinator={self.coordinator} is not of the form host:port")
        place = re.fullmatch(r"(\d+)/(\d+)", self.process)
        if place is None or not int(place[1]) < int(place[2]):
            raise ConfigError(f"process={self.process} is not of the form index/count, the index from 0: 0/2, 1/2")

    @property
    def setup(self) -> Setup:
        """The devices that compute."""
        return Setup(
            strategy=self.strategy,
            device=self.device,
            deterministic=self.deterministic,
            shard_weights=self.shard_weights,
            coordinator=self.coordinator,
            process=self.process,
        )

    @property
    def signals(self) -> tuple[tuple[int, ...], bool]:
        """Those that end the training, and whether SIGUSR1 has it save and go on."""
        return (ENDING, True) if self.on_usr1 == "save" else ((*ENDING, SAVING), False)

    @property
    def architecture(self) -> Architecture:
        """Of the model that is trained."""
        return replace(self.model.architecture, remat=self.remat)

    @property
    def batch_counts(self) -> str:
        """What `batch_size` counts where several clips are cut from a video: "clips", or "videos"."""
        return "clips"

    @property
    def clips_per_step(self) -> int:
        """Clips in an update, over all replicas and accumulated parts."""
        return self.batch_size * (self.data.clips_per_video if self.batch_counts == "videos" else 1)

    @property
    def videos_per_step(self) -> int:
        """Videos read for an update; exact for every batch that `TrainingPlan` accepts."""
        return self.clips_per_step // self.data.clips_per_video

    @property
    def switched_off_to_overfit(self) -> dict[str, Any]:
        """Values of an objective's own settings in a run with `overfit_clips`."""
        return {}

    @property
    def skippable_steps(self) -> int:
        """`max_skipped_steps`, or what it is in this precision."""
        if self.max_skipped_steps is not None:
            return self.max_skipped_steps
        return SKIPPED_IN_FLOAT16 if self.precision == "float16" else 0
