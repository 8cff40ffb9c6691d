"""The typed form of `conf/`: what `pretrain.py` is told, checked once, never changed afterwards.

Hydra composes the YAML files and the command line; `typed_config` turns the result into frozen dataclasses.
All values come from `conf/`: the dataclasses have no defaults of their own.
"""

from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig

from mae.cli.typed import checked_sections, register_resolvers, text_settings
from mae.data.config import Augmentation, DataConfig, DatasetConfig
from mae.errors import ConfigError, check_at_least
from mae.masking import num_masked, num_predicted
from mae.models.config import ModelConfig
from mae.monitoring.config import WandbConfig
from mae.target_config import Target
from mae.training.config import CHOICES, RunConfig


@dataclass(frozen=True)
class PeriodicProbeConfig:
    """A look at the encoder's features while it trains, since the loss does not tell which checkpoint is good."""

    every: int | None  # steps between two looks, from step 0 on and at the end; null, or more than `steps`: none
    clips: int  # looked at, at most, and held in memory: one of each of so many videos, spread over the list

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise ConfigError(f"probe.every={self.every} must be at least 1, or null for no probe")
        if self.clips < 2:
            raise ConfigError(f"probe.clips={self.clips} must be at least 2: neighbours are looked for among them")


@dataclass(frozen=True)
class PretrainConfig(RunConfig):
    """Everything `pretrain.py` is told: what is below and what any run is told."""

    dataset: DatasetConfig
    probe: PeriodicProbeConfig

    mask_ratio: float  # share of tokens hidden from the encoder, rounded down to whole tokens
    masking: str  # tube | random | frame | block
    decoder_mask_ratio: float  # share of tokens the decoder leaves out (dual masking): 0 (off), 0.25, 0.5 or 0.75
    target: str  # videomae | mae_st | pixels | difference
    target_scale: str  # of differences: divided by what they are over the clip | patch, or not at all (none)
    target_pixels: float  # of differences: share of the frame itself in the target, in [0, 1)
    loss_weight: str  # of a patch: none (all the same) | motion (by how much it moves)
    evaluate_every: int | None  # steps between looks at a fixed batch; null: at the end only
    allow_missing: str | None  # decoder: start with a fresh one where `init_from` holds none

    def __post_init__(self) -> None:
        super().__post_init__()
        self.predicted.check_frames(self.model.architecture.num_frames)
        check_at_least(1, self, "evaluate_every")
        _ = self.num_predicted  # raises for ratios that leave nothing masked, visible or predicted

    @property
    def switched_off_to_overfit(self) -> dict[str, Any]:
        return {"probe": replace(self.probe, every=None)}

    @property
    def predicted(self) -> Target:
        """What the decoder predicts, and how its errors are weighed."""
        return Target(self.target, self.target_scale, self.target_pixels, self.loss_weight)

    @property
    def num_masked(self) -> int:
        """Masked tokens of a clip."""
        return num_masked(self.masking, self.model.architecture.grid, self.mask_ratio)

    @property
    def num_predicted(self) -> tuple[int, bool]:
        """Tokens the decoder predicts: the most a clip has, and whether all clips have as many."""
        return num_predicted(self.masking, self.model.architecture.grid, self.mask_ratio, self.decoder_mask_ratio)


# Whatever is chosen; `dataset` and `optimizer` have a dataclass for each choice.
SECTIONS: dict[str, type] = {
    "model": ModelConfig,
    "data": DataConfig,
    "augment": Augmentation,
    "probe": PeriodicProbeConfig,
    "wandb": WandbConfig,
}

TEXTS = text_settings(PretrainConfig, SECTIONS, CHOICES)


def typed_config(composed: DictConfig) -> PretrainConfig:
    """The composed configuration as frozen dataclasses.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or one its dataclass refuses.
    """
    register_resolvers()
    return PretrainConfig(**checked_sections(PretrainConfig, composed, SECTIONS, CHOICES))
