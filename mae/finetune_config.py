"""The typed form of `conf/finetune/`: what `finetune.py` is told, checked once, never changed afterwards.

As in `mae.config`, all values come from the YAML files: the dataclasses have no defaults of their own.
"""

from dataclasses import dataclass

from omegaconf import DictConfig

from mae.config import ModelConfig, OptimizerConfig, WandbConfig, checked_values, register_resolvers
from mae.data.config import DATASET_KINDS, Augmentation, DataConfig, DatasetConfig, TestViews
from mae.errors import ConfigError, check_choice
from mae.options import POOLINGS, POSITION_MODES, PRECISIONS, STRATEGIES
from mae.training.mixing_config import MixingConfig

MODES = ("train", "eval")


@dataclass(frozen=True)
class FinetuneConfig:
    """Everything `finetune.py` is told."""

    dataset: DatasetConfig
    model: ModelConfig
    optimizer: OptimizerConfig
    data: DataConfig
    augment: Augmentation
    mixing: MixingConfig
    test: TestViews  # of the test at the end, and of mode=eval
    wandb: WandbConfig

    mode: str  # train, then test | eval: test only

    num_classes: int | None  # null: as many as the training list has
    head_dropout_rate: float  # before the last layer
    init_scale: float  # of the last layer's initial weights
    pooling: str  # mean | first: what of the encoder's output the head reads
    fresh_head: bool  # start with a new head also where `init_from` holds one
    freeze: str  # none | encoder | a number: the embedding and so many blocks keep their weights

    epochs: int | None  # visits to each video; null: `steps` says how long
    steps: int | None  # updates; wins over epochs
    warmup_epochs: float  # of linear warm-up from 0
    warmup_steps: int | None  # updates; wins over warmup_epochs
    batch_size: int  # clips in an update, over all replicas and accumulated parts
    accumulate: int  # parts an update's clips are computed in, one after the other, to save memory
    learning_rate: float  # base: for 256 clips; scaled by batch_size / 256
    min_learning_rate: float  # base, likewise: at the end of the cosine

    precision: str  # auto: bfloat16 on GPUs that have it, else float32
    jit: bool  # compile forward and backward with XLA; one replica only
    strategy: str  # auto: all GPUs of this machine, else its CPU | single | mirrored
    seed: int
    deterministic: bool  # same results bit for bit, with slower kernels

    run_dir: str
    resume: str  # auto: continue if the run directory holds a checkpoint | never | a checkpoint file
    init_from: str | None  # weights a new run starts from: a checkpoint of any format, or a run; null: at random
    init_positions: str  # recompute | interpolate: what fixed position tables of another token grid become
    log_every: int  # steps
    checkpoint_every: int  # steps
    keep_checkpoints: int  # the newest so many, beside the best one
    evaluate_every: float | None  # epochs between validations; null: at the end only
    eval_batch_size: int  # clips a replica computes at a time in validation and test

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, MODES)
        check_choice("pooling", self.pooling, POOLINGS)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("strategy", self.strategy, STRATEGIES)
        check_choice("init_positions", self.init_positions, POSITION_MODES)
        if self.epochs is None and self.steps is None:
            raise ConfigError("give epochs or steps: both are null")
        counts = ("batch_size", "accumulate", "log_every", "checkpoint_every", "keep_checkpoints", "eval_batch_size")
        for name in (*counts, "epochs", "steps", "num_classes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} must be at least 1")
        for name in ("warmup_epochs", "warmup_steps", "learning_rate", "min_learning_rate", "init_scale", "seed"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigError(f"{name}={value} must not be negative")
        if self.seed >= 2**32:
            raise ConfigError(f"seed={self.seed} must be below 2**32")
        if self.evaluate_every is not None and self.evaluate_every <= 0:
            raise ConfigError(f"evaluate_every={self.evaluate_every} must be above 0 epochs, or null")
        if not 0 <= self.head_dropout_rate < 1:
            raise ConfigError(f"head_dropout_rate={self.head_dropout_rate} must lie in [0, 1)")
        _ = self.frozen_blocks  # raises for other words and for more blocks than there are

    @property
    def frozen_blocks(self) -> int | None:
        """Blocks that keep their weights, and with them the embedding; None: the whole encoder, 0: nothing."""
        if self.freeze in ("none", "encoder"):
            return 0 if self.freeze == "none" else None
        depth = self.model.architecture.depth
        if not self.freeze.isdigit() or not 0 <= int(self.freeze) <= depth:
            raise ConfigError(f"freeze={self.freeze}: expected none, encoder or a number of blocks up to {depth}")
        return int(self.freeze)

    @property
    def mixes(self) -> bool:
        """Whether clips are mixed in pairs at all."""
        return self.mixing.probability > 0 and (self.mixing.mixup > 0 or self.mixing.cutmix > 0)


SECTIONS: dict[str, type] = {
    "model": ModelConfig,
    "optimizer": OptimizerConfig,
    "data": DataConfig,
    "augment": Augmentation,
    "mixing": MixingConfig,
    "test": TestViews,
    "wandb": WandbConfig,
}


def typed_finetune_config(composed: DictConfig) -> FinetuneConfig:
    """The composed configuration as frozen dataclasses.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or one its dataclass refuses.
    """
    register_resolvers()
    for name in ("dataset", *SECTIONS):
        if not isinstance(composed[name], DictConfig):
            raise ConfigError(f"{name}={composed[name]} is not a group of settings; leave it out")
    check_choice("dataset.kind", composed.dataset.kind, DATASET_KINDS)
    sections = {"dataset": DATASET_KINDS[composed.dataset.kind], **SECTIONS}
    values = checked_values(FinetuneConfig, composed, "", elsewhere=tuple(sections))
    for name, cls in sections.items():
        values[name] = cls(**checked_values(cls, composed[name], f"{name}.", elsewhere=("kind",)))
    return FinetuneConfig(**values)
