"""How a command runs whose settings Hydra composes from `conf/`, and how a program has the same run made."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mae.cli.command import HELP
from mae.cli.exit_status import exit_statuses
from mae.cli.overrides import CONF, check_overrides, composed_settings, quote_texts
from mae.cli.settings_help import settings_help


@dataclass(frozen=True)
class HydraCommand:
    """A command: where its settings are, what they become, and what is done with that."""

    purpose: str  # one line, for its help
    config_name: str  # of the file in `config_dir` that everything is composed from
    texts: Mapping[str, bool]  # its settings that are text, see `mae.cli.overrides.quote_texts`
    typed: Callable[[DictConfig], Any]  # to a dataclass that has at least `run_dir`
    run: Callable[..., None]  # given that dataclass and, of a program in Python, who has it run
    completed: Callable[[Sequence[str]], Sequence[str]] = list  # the arguments with those that follow from them
    config_dir: Path = CONF
    shared_dir: Path | None = None  # where other groups are: `mae.cli.overrides.share_groups` was told

    def __call__(self, arguments: Sequence[str]) -> None:
        """Runs it as these arguments say."""
        words = self._words(arguments)
        told = [word for word in words if word not in HELP]
        check_overrides(self.config_dir, self.config_name, told, self.shared_dir, self.typed)
        if len(told) < len(words):
            print(settings_help(self.purpose, self.config_dir, self.config_name, told, self.shared_dir))
            return
        sys.argv[1:] = told  # where Hydra looks for them
        hydra.main(version_base="1.3", config_path=str(self.config_dir), config_name=self.config_name)(self._run)()

    def config(self, arguments: Sequence[str]) -> Any:
        """What `run` is given where it is one run that these arguments, without flags of Hydra's, ask for.

        Raises:
            ConfigError: what the command would tell of them.
        """
        words = self._words(arguments)
        return self.typed(composed_settings(self.config_dir, self.config_name, words, self.shared_dir))

    def _words(self, arguments: Sequence[str]) -> list[str]:
        return quote_texts(self.completed(arguments), self.texts)

    def _run(self, composed: DictConfig) -> None:
        """One run; a mistake in it is told as everywhere, where Hydra would print a traceback."""
        with exit_statuses():
            config = self.typed(composed)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                # Jobs of a sweep are runs of their own.
                config = replace(config, run_dir=f"{config.run_dir}-{HydraConfig.get().job.num}")
            self.run(config)
