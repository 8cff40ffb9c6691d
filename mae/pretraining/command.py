"""`python pretrain.py dataset=ssv2 dataset.root=… mask_ratio=0.9`: pre-trains a video masked autoencoder.

Where the package is installed it is `mae-pretrain`. Without arguments, a two-minute demo on a CPU. `conf/` holds every
setting; `--help` prints them as the other arguments leave them.
"""

from mae.cli.backend import load_backend
from mae.cli.hydra_command import HydraCommand
from mae.cli.typed import register_resolvers
from mae.data.remote.copies import use_copies
from mae.pretraining.config import TEXTS, PretrainConfig, typed_config
from mae.training.caller import Caller


def main(arguments: list[str]) -> None:
    """Runs the command."""
    command()(arguments)


def command() -> HydraCommand:
    """The command: what a program in Python has run is composed and run by it as well."""
    register_resolvers()
    return HydraCommand("Pre-trains a video masked autoencoder.", "pretrain", TEXTS, typed_config, run)


def run(config: PretrainConfig, caller: Caller | None = None) -> None:
    """Makes one run.

    Args:
        caller: who has it made; None: the command line of this process.
    """
    use_copies(config.data.remote_cache, config.data.remote_cache_gb)
    load_backend(config.backend)  # only now: a mistake in the command is told before that
    from mae.pretraining.run import pretrain

    pretrain(config, caller)
