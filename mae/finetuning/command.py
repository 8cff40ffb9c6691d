"""`python finetune.py init_from=… dataset=ssv2 …`: fine-tunes a classifier, tests it, or probes an encoder.

Where the package is installed it is `mae-finetune`. `mode=eval` tests a trained classifier, `mode=probe` says what a
frozen encoder knows. `conf/finetune/` holds what is its own, `conf/` the groups it shares with pre-training; `--help`
prints all settings as the other arguments leave them.
"""

import sys

from mae.cli.backend import load_backend
from mae.cli.hydra_command import HydraCommand
from mae.cli.overrides import CONF, quote_texts, share_groups
from mae.finetuning.config import TEXTS, FinetuneConfig, register_finetune_resolvers, typed_finetune_config
from mae.finetuning.inherited import with_inherited

PURPOSE = "Fine-tunes a pre-trained encoder as a classifier, and tests it; mode=probe leaves the encoder as it is."


def main(arguments: list[str]) -> None:
    """Runs the command."""
    register_finetune_resolvers()
    share_groups(CONF)
    command = HydraCommand(PURPOSE, "finetune", typed_finetune_config, _finetune, CONF / "finetune", CONF)
    completed, told = with_inherited(arguments, CONF)
    if told is not None:
        print(told, file=sys.stderr, flush=True)  # a --cfg job has the settings alone on stdout
    command(quote_texts(completed, TEXTS))


def _finetune(config: FinetuneConfig) -> None:
    load_backend(config.backend)  # only now: a mistake in the command is told before that
    from mae.finetuning.evaluate import evaluate
    from mae.finetuning.probe import probe
    from mae.finetuning.run import finetune

    {"train": finetune, "eval": evaluate, "probe": probe}[config.mode](config)
