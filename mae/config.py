"""The typed form of `conf/`: what `pretrain.py` is told, checked once, never changed afterwards.

Hydra composes the YAML files and the command line; `typed_config` turns the result into frozen dataclasses.
All values come from `conf/`: the dataclasses have no defaults of their own.
"""

import math
from dataclasses import asdict, dataclass, fields, make_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mae.data.config import DATASET_KINDS, DataConfig, DatasetConfig
from mae.errors import ConfigError, check_choice
from mae.masking import num_masked
from mae.options import POSITION_MODES, PRECISIONS, STRATEGIES, TARGETS, WANDB_MODES
from mae.presets import Architecture, architecture
from mae.training.config import OPTIMIZERS, OptimizerConfig


@dataclass(frozen=True)
class ModelConfig:
    """A preset, and the sizes of it that are replaced; see `mae.presets.Architecture` for each."""

    preset: str
    image_size: int | None
    num_frames: int | None
    patch_size: int | None
    tubelet_size: int | None
    in_channels: int | None
    embed_dim: int | None
    depth: int | None
    num_heads: int | None
    mlp_ratio: float | None
    positions: str | None
    layer_norm_epsilon: float | None
    head_norm_epsilon: float | None
    drop_path_rate: float | None
    attention_dropout_rate: float | None
    dropout_rate: float | None
    decoder_embed_dim: int | None
    decoder_depth: int | None
    decoder_num_heads: int | None

    def __post_init__(self) -> None:
        if self.architecture.in_channels != 3:
            raise ConfigError(f"model.in_channels={self.in_channels}: video files are decoded to 3 channels")

    @property
    def architecture(self) -> Architecture:
        sizes = {name: value for name, value in asdict(self).items() if value is not None}
        return architecture(**sizes)


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases."""

    mode: str  # "auto": online if an API key is configured, else offline | online | offline | disabled
    project: str
    name: str | None  # of the run; null: the run directory's

    def __post_init__(self) -> None:
        check_choice("wandb.mode", self.mode, WANDB_MODES)


@dataclass(frozen=True)
class PretrainConfig:
    """Everything `pretrain.py` is told."""

    dataset: DatasetConfig
    model: ModelConfig
    optimizer: OptimizerConfig
    data: DataConfig
    wandb: WandbConfig

    mask_ratio: float  # share of tokens hidden from the encoder, rounded down to whole tokens
    masking: str  # tube | random | frame | block
    target: str  # videomae | mae_st | pixels

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
    init_from: str | None  # weights a new run starts from: a checkpoint of any format, or another run
    init_positions: str  # recompute | interpolate: what fixed position tables of another token grid become
    allow_missing: str | None  # decoder: start with a fresh one where `init_from` holds none
    log_every: int  # steps
    checkpoint_every: int  # steps
    keep_checkpoints: int  # the newest so many
    evaluate_every: int | None  # steps between reconstructions of a fixed batch; null: at the end only

    def __post_init__(self) -> None:
        check_choice("target", self.target, TARGETS)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("strategy", self.strategy, STRATEGIES)
        check_choice("init_positions", self.init_positions, POSITION_MODES)
        if self.epochs is None and self.steps is None:
            raise ConfigError("give epochs or steps: both are null")
        optional = ("epochs", "steps", "evaluate_every")
        for name in ("batch_size", "accumulate", "log_every", "checkpoint_every", "keep_checkpoints", *optional):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} must be at least 1")
        for name in ("warmup_epochs", "learning_rate", "min_learning_rate", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)} must not be negative")
        if self.seed >= 2**32:
            raise ConfigError(f"seed={self.seed} must be below 2**32")
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise ConfigError(f"warmup_steps={self.warmup_steps} must not be negative")
        _ = self.num_masked  # raises for a ratio that leaves nothing masked or visible

    @property
    def num_masked(self) -> int:
        """Masked tokens of a clip."""
        return num_masked(self.masking, self.model.architecture.grid, self.mask_ratio)


# Whatever is chosen; `dataset` and `optimizer` have a dataclass for each choice.
SECTIONS: dict[str, type] = {
    "model": ModelConfig,
    "data": DataConfig,
    "wandb": WandbConfig,
}


def register_resolvers() -> None:
    """Makes `${by_preset:{vit_large:512,default:1024}}` available to the YAML files: a value by model preset."""

    def by_preset(table: DictConfig, *, _root_: DictConfig) -> Any:
        return table.get(_root_.model.preset, table["default"])

    OmegaConf.register_new_resolver("by_preset", by_preset, replace=True)


def typed_config(composed: DictConfig) -> PretrainConfig:
    """The composed configuration as frozen dataclasses.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or one its dataclass refuses.
    """
    register_resolvers()
    for name in ("dataset", "optimizer", *SECTIONS):
        if not isinstance(composed[name], DictConfig):
            raise ConfigError(f"{name}={composed[name]} is not a group of settings; leave it out")
    check_choice("dataset.kind", composed.dataset.kind, DATASET_KINDS)
    check_choice("optimizer.name", composed.optimizer.name, OPTIMIZERS)
    sections = {
        "dataset": DATASET_KINDS[composed.dataset.kind],
        "optimizer": OPTIMIZERS[composed.optimizer.name],
        **SECTIONS,
    }
    values = checked_values(PretrainConfig, composed, "", elsewhere=tuple(sections))
    for name, cls in sections.items():
        values[name] = cls(**checked_values(cls, composed[name], f"{name}.", elsewhere=("kind",)))
    return PretrainConfig(**values)


def checked_values(cls: type, node: DictConfig, prefix: str = "", elsewhere: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of one flat section of the config, converted to the types of the fields of `cls`."""
    types = {field.name: field.type for field in fields(cls) if field.name not in elsewhere}
    schema = OmegaConf.structured(make_dataclass(cls.__name__, types.items()))
    for key in node:
        if key not in elsewhere:
            check_choice("config key", f"{prefix}{key}", [prefix + name for name in types])
    for name in types:
        try:
            schema[name] = node[name]
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"{prefix}{name}: {reason}") from error
        if isinstance(schema[name], float) and not math.isfinite(schema[name]):
            raise ConfigError(f"{prefix}{name}={schema[name]} is not a number")
    return {name: schema[name] for name in types}
