"""Fine-tunes a classifier: `python finetune.py dataset=ssv2 dataset.root=… init_from=<run or released checkpoint>`

`mode=eval` tests one that is trained, `mode=probe` says what a frozen encoder knows. `conf/finetune/` holds what is its
own, `conf/` the groups it shares with `pretrain.py`; `--help` lists the settings.
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
from mae.cli.overrides import check_overrides, quote_texts, share_groups
from mae.cli.quiet import quiet_libraries
from mae.finetuning.config import TEXTS, register_finetune_resolvers, typed_finetune_config
from mae.finetuning.inherited import with_inherited

CONF = Path(__file__).parent / "conf"


@hydra.main(version_base="1.3", config_path="conf/finetune", config_name="finetune")
def main(composed: DictConfig) -> None:
    with exit_statuses():
        config = typed_finetune_config(composed)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            # Jobs of a sweep are runs of their own.
            config = replace(config, run_dir=f"{config.run_dir}-{HydraConfig.get().job.num}")
        load_backend(config.backend)  # only now: a mistake in the command is told before that
        from mae.finetuning.evaluate import evaluate
        from mae.finetuning.probe import probe
        from mae.finetuning.run import finetune

        {"train": finetune, "eval": evaluate, "probe": probe}[config.mode](config)


if __name__ == "__main__":
    quiet_libraries()
    register_finetune_resolvers()
    share_groups(CONF)
    with exit_statuses():
        arguments, told = with_inherited(sys.argv[1:], CONF)
        if told is not None:
            print(told, file=sys.stderr, flush=True)  # a --cfg job has the settings alone on stdout
        sys.argv[1:] = quote_texts(arguments, TEXTS)
        check_overrides(CONF / "finetune", "finetune", sys.argv[1:], shared_dir=CONF, typed=typed_finetune_config)
        main()
