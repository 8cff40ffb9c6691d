"""Pre-trains a video masked autoencoder: `python pretrain.py dataset=ssv2 mask_ratio=0.9 dataset.root=…`

Without arguments, a two-minute demo on a CPU. `conf/` holds every setting; `--help` lists them.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

from mae.cli.command import run_command
from mae.pretraining.command import main

if __name__ == "__main__":
    run_command(main)
