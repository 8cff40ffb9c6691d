"""`python pretrain.py dataset=ssv2 dataset.root=… mask_ratio=0.9`: pre-trains a video masked autoencoder.

Where the package is installed it is `mae-pretrain`. Without arguments, a two-minute demo on a CPU. `conf/` holds every
setting; `--help` prints them as the other arguments leave them.
"""

from mae.cli.backend import load_backend
from mae.cli.hydra_command import HydraCommand
from mae.cli.overrides import quote_texts
from mae.cli.typed import register_resolvers
from mae.pretraining.config import TEXTS, PretrainConfig, typed_config


def main(arguments: list[str]) -> None:
    """Runs the command."""
    register_resolvers()
    HydraCommand("Pre-trains a video masked autoencoder.", "pretrain", typed_config, _pretrain)(
        quote_texts(arguments, TEXTS)
    )


def _pretrain(config: PretrainConfig) -> None:
    load_backend(config.backend)  # only now: a mistake in the command is told before that
    from mae.pretraining.run import pretrain

    pretrain(config)
