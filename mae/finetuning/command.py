"""`python finetune.py init_from=… dataset=ssv2 …`: fine-tunes a classifier, tests it, or probes an encoder.

Where the package is installed it is `mae-finetune`. `mode=eval` tests a trained classifier, `mode=probe` says what a
frozen encoder knows. `conf/finetune/` holds what is its own, `conf/` the groups it shares with pre-training; `--help`
prints all settings as the other arguments leave them.
"""

import sys
from collections.abc import Sequence

from mae.cli.backend import load_backend
from mae.cli.hydra_command import HydraCommand
from mae.cli.overrides import CONF, share_groups
from mae.cli.telling import tell
from mae.data.remote.copies import use_copies
from mae.finetuning.config import TEXTS, FinetuneConfig, register_finetune_resolvers, typed_finetune_config
from mae.finetuning.inherited import with_inherited
from mae.training.caller import Caller

PURPOSE = "Fine-tunes a pre-trained encoder as a classifier, and tests it; mode=probe leaves the encoder as it is."


def main(arguments: list[str]) -> None:
    """Runs the command."""
    share_groups(CONF)
    command()(arguments)


def command() -> HydraCommand:
    """The command: what a program in Python has run is composed and run by it as well."""
    register_finetune_resolvers()
    return HydraCommand(
        PURPOSE, "finetune", TEXTS, typed_finetune_config, run, _completed, CONF / "finetune", shared_dir=CONF
    )


def _completed(arguments: Sequence[str]) -> list[str]:
    """With what is taken from the run that they start from, which is told."""
    completed, told = with_inherited(arguments, CONF)
    if told is not None:
        tell(told, sys.stderr)  # a --cfg job has the settings alone on stdout
    return completed


def run(config: FinetuneConfig, caller: Caller | None = None) -> None:
    """Makes one run, as its `mode` says.

    Args:
        caller: who has it made; None: the command line of this process.
    """
    use_copies(config.data.remote_cache, config.data.remote_cache_gb)
    load_backend(config.backend)  # only now: a mistake in the command is told before that
    from mae.finetuning.evaluate import evaluate
    from mae.finetuning.probe import probe
    from mae.finetuning.run import finetune

    {"train": finetune, "eval": evaluate, "probe": probe}[config.mode](config, caller)
