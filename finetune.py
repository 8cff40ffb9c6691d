"""Fine-tunes a classifier: `python finetune.py dataset=ssv2 dataset.root=… init_from=<run or released checkpoint>`

`mode=eval` tests one that is trained, `mode=probe` says what a frozen encoder knows. `conf/finetune/` holds what is its
own, `conf/` the groups it shares with `pretrain.py`; `--help` lists the settings.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

from mae.cli.command import run_command
from mae.finetuning.command import main

if __name__ == "__main__":
    run_command(main)
