"""No setting is an option that nothing reads."""

import importlib
from dataclasses import fields

import pytest
from settings_read import Reads

from mae.convert import SIZES, TRAINING, ConvertConfig
from mae.data.config import DATASET_KINDS
from mae.engines.optimizer_config import OPTIMIZERS
from mae.finetuning.config import SECTIONS as FINETUNING_SECTIONS
from mae.finetuning.config import FinetuneConfig
from mae.models.config import ModelConfig
from mae.presets import Architecture
from mae.pretraining.config import SECTIONS as PRETRAINING_SECTIONS
from mae.pretraining.config import PretrainConfig

# Two of these settings have names that are read of another class only, where `mae.data.config` has them.
PLANTED = """
from dataclasses import dataclass

from mae.data.config import DataConfig


@dataclass(frozen=True)
class Settings:
    workers: int
    sampler: str
    prefetch: int
    clips: int

    def __post_init__(self) -> None:
        assert self.prefetch > 0
        assert self.unread > 0

    @property
    def views(self) -> int:
        return 3 * self.clips

    @property
    def unread(self) -> int:
        return self.prefetch


@dataclass(frozen=True)
class MoreSettings(Settings):
    timeout_s: float


def use(settings: Settings, more: MoreSettings, data: DataConfig) -> str:
    return f"{settings.workers} {settings.views} {more.timeout_s} {more.prefetch} {data.sampler} {data.prefetch}"
"""


@pytest.fixture(scope="module")
def reads():
    return Reads(planted=PLANTED)


def test_a_setting_whose_name_is_read_of_another_class_only_is_found(reads):
    assert {"sampler", "prefetch"} <= reads.of("mae.data.config.DataConfig")
    assert reads.of("planted.Settings") == {"workers", "views", "clips"}
    assert reads.of("planted.MoreSettings") == {"workers", "views", "clips", "timeout_s", "prefetch"}


def test_every_setting_is_read(reads):
    commands = [
        getattr(importlib.import_module(module), name)
        for module, _, name in (path.rpartition(".") for path in reads.of_commands)
    ]
    assert len(commands) >= 10
    sections = {*PRETRAINING_SECTIONS.values(), *FINETUNING_SECTIONS.values()} - {ModelConfig}
    choices = [*DATASET_KINDS.values(), *OPTIMIZERS.values()]
    # The sizes of a `ModelConfig` are passed on as a whole, to an `Architecture`.
    unread = {}
    for cls in (PretrainConfig, FinetuneConfig, Architecture, *sections, *choices, *commands):
        read = reads.of(f"{cls.__module__}.{cls.__qualname__}")
        passed_on = {*SIZES, *TRAINING} if cls is ConvertConfig else set()  # as a whole
        unread[cls.__name__] = {field.name for field in fields(cls)} - read - passed_on
    assert not {name: settings for name, settings in unread.items() if settings}
    assert "preset" in reads.of("mae.models.config.ModelConfig")
