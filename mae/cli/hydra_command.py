"""How a command runs whose settings Hydra composes from `conf/`."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mae.cli.command import HELP
from mae.cli.exit_status import exit_statuses
from mae.cli.overrides import CONF, check_overrides
from mae.cli.settings_help import settings_help


@dataclass(frozen=True)
class HydraCommand:
    """A command: where its settings are, what they become, and what is done with that."""

    purpose: str  # one line, for its help
    config_name: str  # of the file in `config_dir` that everything is composed from
    typed: Callable[[DictConfig], Any]  # to a dataclass that has at least `run_dir`
    run: Callable[[Any], None]  # given that dataclass
    config_dir: Path = CONF
    shared_dir: Path | None = None  # where other groups are: `mae.cli.overrides.share_groups` was told

    def __call__(self, arguments: Sequence[str]) -> None:
        """Runs it as these arguments say, whose texts are in Hydra's quotes: see `mae.cli.overrides.quote_texts`."""
        told = [argument for argument in arguments if argument not in HELP]
        check_overrides(self.config_dir, self.config_name, told, self.shared_dir, self.typed)
        if len(told) < len(arguments):
            print(settings_help(self.purpose, self.config_dir, self.config_name, told, self.shared_dir))
            return
        sys.argv[1:] = told  # where Hydra looks for them
        hydra.main(version_base="1.3", config_path=str(self.config_dir), config_name=self.config_name)(self._run)()

    def _run(self, composed: DictConfig) -> None:
        """One run; a mistake in it is told as everywhere, where Hydra would print a traceback."""
        with exit_statuses():
            config = self.typed(composed)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                # Jobs of a sweep are runs of their own.
                config = replace(config, run_dir=f"{config.run_dir}-{HydraConfig.get().job.num}")
            self.run(config)
