"""Pre-trains a video masked autoencoder: `python pretrain.py dataset=ssv2 mask_ratio=0.9 dataset.root=…`

Without arguments, a two-minute demo on a CPU. `conf/` holds every setting; `--help` lists them.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

import sys
from dataclasses import replace
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mae.cli.backend import load_backend
from mae.cli.exit_status import exit_statuses
from mae.cli.overrides import check_overrides, quote_texts
from mae.cli.quiet import quiet_libraries
from mae.cli.typed import register_resolvers
from mae.pretraining.config import TEXTS, typed_config

CONF = Path(__file__).parent / "conf"


@hydra.main(version_base="1.3", config_path="conf", config_name="pretrain")
def main(composed: DictConfig) -> None:
    with exit_statuses():
        config = typed_config(composed)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            # Jobs of a sweep are runs of their own.
            config = replace(config, run_dir=f"{config.run_dir}-{HydraConfig.get().job.num}")
        load_backend(config.backend)  # only now: a mistake in the command is told before that
        from mae.pretraining.run import pretrain

        pretrain(config)


if __name__ == "__main__":
    quiet_libraries()
    register_resolvers()
    with exit_statuses():
        sys.argv[1:] = quote_texts(sys.argv[1:], TEXTS)
        check_overrides(CONF, "pretrain", sys.argv[1:], typed=typed_config)
        main()
