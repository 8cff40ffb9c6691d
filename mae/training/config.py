"""What may be configured about a run, whatever it trains, and about its optimizer: a dataclass for each choice."""

from dataclasses import dataclass

from mae.cli.typed import Choice
from mae.data.config import DATASET_KINDS, Augmentation, DataConfig
from mae.errors import ConfigError, check_choice
from mae.options import POSITION_MODES, PRECISIONS, STRATEGIES, WANDB_MODES

SKIPPED_IN_FLOAT16 = 20  # in a row, by default: enough to halve the loss scale from its start down to 1


@dataclass(frozen=True)
class OptimizerConfig:
    """What every choice has. Decay is decoupled and scaled by the layer's rate, whatever computes the update."""

    name: str
    weight_decay: float  # matrices only; biases, norms, mask token and learnable positions never decay
    final_weight_decay: float | None  # reached by a cosine over the run; null: constant
    layer_decay: float | None  # learning rate of a block over the next one's; null: the same for all
    clip_grad_norm: float | None  # largest global gradient norm; null: no clipping

    def __post_init__(self) -> None:
        for name in ("beta_1", "beta_2", "momentum"):
            if not 0 <= getattr(self, name, 0) < 1:
                raise ConfigError(f"optimizer.{name}={getattr(self, name)} must lie in [0, 1)")
        for name in ("epsilon", "layer_decay", "clip_grad_norm", "rms"):
            value = getattr(self, name, None)
            if value is not None and value <= 0:
                raise ConfigError(f"optimizer.{name}={value} must be above 0")
        if self.weight_decay < 0 or (self.final_weight_decay or 0) < 0:
            raise ConfigError("optimizer.weight_decay and optimizer.final_weight_decay must not be negative")


@dataclass(frozen=True)
class AdamWConfig(OptimizerConfig):
    """AdamW (arXiv:1711.05101) as PyTorch computes it."""

    beta_1: float  # of the mean of the gradients
    beta_2: float  # of the mean of their squares
    epsilon: float


@dataclass(frozen=True)
class LambConfig(OptimizerConfig):
    """LAMB (arXiv:1904.00962): Adam's update of a tensor, scaled to the norm of that tensor."""

    beta_1: float
    beta_2: float
    epsilon: float


@dataclass(frozen=True)
class LionConfig(OptimizerConfig):
    """Lion (arXiv:2302.06675): the sign of a momentum; half of Adam's memory."""

    beta_1: float  # share of the momentum in the update's direction
    beta_2: float  # of the momentum

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta_1 == 0:
            raise ConfigError(f"optimizer.beta_1={self.beta_1} must be above 0 for lion")


@dataclass(frozen=True)
class MuonConfig(OptimizerConfig):
    """Muon (arXiv:2502.16982): orthogonalised momentum for the matrices inside the model, Adam for the rest."""

    momentum: float  # Nesterov's, of the matrices
    ns_steps: int  # Newton-Schulz iterations that orthogonalise it
    rms: float  # of a matrix's update; 0.2 is about Adam's, so its learning rates and decays fit
    beta_1: float  # here and below: of the Adam that updates everything else
    beta_2: float
    epsilon: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ns_steps < 1:
            raise ConfigError(f"optimizer.ns_steps={self.ns_steps} must be at least 1")


OPTIMIZERS: dict[str, type[OptimizerConfig]] = {
    "adamw": AdamWConfig,
    "lamb": LambConfig,
    "lion": LionConfig,
    "muon": MuonConfig,
}


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases."""

    mode: str  # "auto": online if an API key is configured, else offline | online | offline | disabled
    project: str
    name: str | None  # of the run; null: the run directory's

    def __post_init__(self) -> None:
        check_choice("wandb.mode", self.mode, WANDB_MODES)


# Sections with a dataclass for each choice.
CHOICES = {"dataset": Choice("kind", DATASET_KINDS), "optimizer": Choice("name", OPTIMIZERS)}


@dataclass(frozen=True)
class RunConfig:
    """What any run is told."""

    optimizer: OptimizerConfig
    data: DataConfig
    augment: Augmentation
    wandb: WandbConfig

    epochs: int | None  # visits to each video; null: `steps` says how long
    steps: int | None  # updates; wins over epochs
    warmup_epochs: float  # of linear warm-up from 0
    warmup_steps: int | None  # updates; wins over warmup_epochs
    batch_size: int  # clips in an update, over all replicas and accumulated parts
    accumulate: int  # parts an update's clips are computed in, one after the other, to save memory
    overfit_clips: int | None  # a smoke test: train on so many clips, always the same; null: on all videos
    learning_rate: float  # base: for 256 clips; scaled by batch_size / 256
    min_learning_rate: float  # base, likewise: at the end of the cosine
    ema_decay: float | None  # of a moving average of the weights, evaluated and exported instead of them; null: none

    precision: str  # auto: bfloat16 on GPUs that have it and on TPUs, else float32
    loss_scale: float  # float16 only: the first one; halved and doubled as gradients overflow or do not
    max_skipped_steps: int | None  # not finite, in a row, before the run stops; null: 20 in float16, 0 otherwise
    jit: bool  # compile forward and backward with XLA; one replica only
    strategy: str  # auto: all GPUs of this machine, else its CPU | single | mirrored | multiworker | tpu
    seed: int
    deterministic: bool  # same results bit for bit, with slower kernels

    run_dir: str
    resume: str  # auto: continue if the run directory holds a checkpoint | never | a checkpoint file
    init_from: str | None  # weights a new run starts from: a checkpoint of any format, or another run
    init_positions: str  # recompute | interpolate: what fixed position tables of another token grid become
    log_every: int  # steps
    checkpoint_every: int  # steps
    keep_checkpoints: int  # the newest so many

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("strategy", self.strategy, STRATEGIES)
        check_choice("init_positions", self.init_positions, POSITION_MODES)
        if self.epochs is None and self.steps is None:
            raise ConfigError("give epochs or steps: both are null")
        optional = ("epochs", "steps", "overfit_clips")
        for name in ("batch_size", "accumulate", "log_every", "checkpoint_every", "keep_checkpoints", *optional):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} must be at least 1")
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
        if self.seed >= 2**32:
            raise ConfigError(f"seed={self.seed} must be below 2**32")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ConfigError(f"ema_decay={self.ema_decay} must lie between 0 and 1, or be null for no average")
        if not 1 <= self.loss_scale <= 2**24:
            raise ConfigError(f"loss_scale={self.loss_scale} must lie in [1, {2**24}]")

    @property
    def skippable_steps(self) -> int:
        """`max_skipped_steps`, or what it is in this precision."""
        if self.max_skipped_steps is not None:
            return self.max_skipped_steps
        return SKIPPED_IN_FLOAT16 if self.precision == "float16" else 0
