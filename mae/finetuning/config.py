"""The typed form of `conf/finetune/`: what `finetune.py` is told, checked once, never changed afterwards.

As in `mae.pretraining.config`, all values come from the YAML files: the dataclasses have no defaults of their own.
"""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mae.cli.typed import checked_sections, register_resolvers, text_settings
from mae.data.config import Augmentation, CsvDataset, DataConfig, DatasetConfig, TestViews
from mae.errors import ConfigError, check_at_least, check_choice
from mae.evaluation.probes.config import ProbeConfig
from mae.models.config import ModelConfig
from mae.monitoring.config import WandbConfig
from mae.options import CLASS_BALANCES, CLASSIFICATION, DISTANCES, MULTILABEL, POOLINGS, REGRESSION, TASKS
from mae.training.config import CHOICES, RunConfig

MODES = ("train", "eval", "probe")
RANDOM = "random"  # init_from= of an encoder that nobody trained


@dataclass(frozen=True)
class MixingConfig:
    """How training clips are mixed."""

    mixup: float  # of Beta(a, a), which the share is drawn from; 0: no mixup
    cutmix: float  # likewise; 0: no cutmix
    probability: float  # that a batch is mixed at all
    switch_probability: float  # that a mixed batch gets cutmix, where both are on
    label_smoothing: float  # of the target's mass that is spread over all classes

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise ConfigError(f"mixing.{name}={getattr(self, name)} must be 0 (off) or above")
        for name in ("probability", "switch_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"mixing.{name}={getattr(self, name)} must lie in [0, 1]")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"mixing.label_smoothing={self.label_smoothing} must lie in [0, 1)")


NO_MIXING = MixingConfig(mixup=0.0, cutmix=0.0, probability=0.0, switch_probability=0.0, label_smoothing=0.0)


@dataclass(frozen=True)
class FinetuneConfig(RunConfig):
    """Everything `finetune.py` is told: what is below and what any run is told."""

    dataset: DatasetConfig
    mixing: MixingConfig
    test: TestViews  # of the test at the end, and of mode=eval
    probe: ProbeConfig  # of mode=probe

    mode: str  # train, then test | eval: test only | probe: small classifiers on frozen features
    task: str  # classification: one class a video | multilabel: any number of labels | regression: numbers

    num_classes: int | None  # labels or numbers, likewise; null: as many as the training list has
    class_balance: (
        str  # none | weights: rare classes and labels count more | sampler: classes are visited equally often
    )
    regression_loss: str  # huber | l1 | l2, of numbers in units of their deviation
    huber_delta: float  # in the same unit: where Huber's loss turns from a square to a line
    head_dropout_rate: float  # before the last layer
    init_scale: float  # of the last layer's initial weights
    pooling: str  # mean | first: what of the encoder's output the head reads
    fresh_head: bool  # start with a new head also where `init_from` holds one
    freeze: str  # none | encoder | a number: the embedding and so many blocks keep their weights

    validate_every: float | None  # epochs between validations; null: at the end only
    eval_batch_size: int  # clips a replica computes at a time in validation, test and probe

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("mode", self.mode, MODES)
        self._check_task()
        if self.mode == "probe" and self.init_from is None:
            raise ConfigError(
                "mode=probe needs init_from, the encoder to probe: a run directory, a checkpoint, "
                f"or init_from={RANDOM} for one that nobody trained"
            )
        check_choice("pooling", self.pooling, POOLINGS)
        if self.overfit_clips is not None and self.mode != "train":
            raise ConfigError(f"overfit_clips={self.overfit_clips} is for mode=train: mode={self.mode} trains nothing")
        if self.strategy == "multiworker" and self.mode != "train":
            raise ConfigError(f"strategy=multiworker is for training: mode={self.mode} runs on one machine")
        check_at_least(1, self, "eval_batch_size", "num_classes")
        if self.init_scale < 0:
            raise ConfigError(f"init_scale={self.init_scale} must not be negative")
        if self.validate_every is not None and self.validate_every <= 0:
            raise ConfigError(f"validate_every={self.validate_every} must be above 0 epochs, or null")
        if not 0 <= self.head_dropout_rate < 1:
            raise ConfigError(f"head_dropout_rate={self.head_dropout_rate} must lie in [0, 1)")
        _ = self.frozen_blocks  # raises for other words and for more blocks than there are

    def _check_task(self) -> None:
        check_choice("task", self.task, TASKS)
        check_choice("class_balance", self.class_balance, CLASS_BALANCES)
        check_choice("regression_loss", self.regression_loss, DISTANCES)
        if self.huber_delta <= 0:
            raise ConfigError(f"huber_delta={self.huber_delta} must be above 0")
        if self.task == CLASSIFICATION:
            return
        if not isinstance(self.dataset, CsvDataset):
            raise ConfigError(
                f"task={self.task} learns from a list, and dataset={self.dataset.name} has classes alone: give "
                "dataset=csv dataset.train=list.csv"
            )
        if self.mode == "probe":
            raise ConfigError(
                f"mode=probe tells classes apart, and task={self.task} has none: train a head on the frozen encoder "
                "with mode=train freeze=encoder"
            )
        if self.class_balance == "sampler":
            raise ConfigError(
                f"class_balance=sampler visits classes equally often, and task={self.task} has none"
                + (": give class_balance=weights" if self.task == MULTILABEL else "")
            )
        if self.task == REGRESSION:
            self._check_numbers()

    def _check_numbers(self) -> None:
        if self.class_balance == "weights":
            raise ConfigError("class_balance=weights is for classes and labels, and task=regression has none")
        if self.mixing.cutmix > 0:
            raise ConfigError(
                f"mixing.cutmix={self.mixing.cutmix:g} is not defined for task=regression: a part of a picture has no "
                "share of its number; mixing.mixup is"
            )
        if self.mixing.label_smoothing > 0:
            raise ConfigError(
                f"mixing.label_smoothing={self.mixing.label_smoothing:g} is not defined for task=regression, which has "
                "no classes"
            )

    @property
    def batch_counts(self) -> str:
        """The published repeats are inside the batch: 384 videos, two clips of each, are 768 clips an update."""
        return "videos"

    @property
    def switched_off_to_overfit(self) -> dict[str, Any]:
        return {
            "mixing": NO_MIXING,
            "head_dropout_rate": 0.0,
            "validate_every": None,
            "class_balance": "none",
        }

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
    "data": DataConfig,
    "augment": Augmentation,
    "mixing": MixingConfig,
    "test": TestViews,
    "probe": ProbeConfig,
    "wandb": WandbConfig,
}

TEXTS = text_settings(FinetuneConfig, SECTIONS, CHOICES)


def register_finetune_resolvers() -> None:
    """As `register_resolvers`, and a value by what is done or learnt.

    `${by_mode:{probe:probe,default:finetuned}}`, `${by_task:{regression:0,default:0.1}}`.
    """
    register_resolvers()

    def by_mode(table: DictConfig, *, _root_: DictConfig) -> Any:
        return table.get(_root_.mode, table["default"])

    def by_task(table: DictConfig, *, _root_: DictConfig) -> Any:
        return table.get(_root_.task, table["default"])

    OmegaConf.register_new_resolver("by_mode", by_mode, replace=True)
    OmegaConf.register_new_resolver("by_task", by_task, replace=True)


def typed_finetune_config(composed: DictConfig) -> FinetuneConfig:
    """The composed configuration as frozen dataclasses.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or one its dataclass refuses.
    """
    register_finetune_resolvers()
    return FinetuneConfig(**checked_sections(FinetuneConfig, composed, SECTIONS, CHOICES))
