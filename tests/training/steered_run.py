"""`python steered_run.py {"script": …, …} …`: a script of the project, independent of how fast the machine is.

`script`: `pretrain.py` or `finetune.py`. `hold_at`: a step after whose record it waits for its standard input to end.
What is done to it meanwhile comes after that step and before the next one. `silence_s`: how long a worker may be
silent.
"""

import json
import os
import runpy
import sys
from pathlib import Path

from mae.training.journal import Journal


def hold_at(step):
    log = Journal.log

    def held(self, record):
        log(self, record)
        if record["step"] == step:
            sys.stdin.read()

    Journal.log = held


def stay_patient(silence_s):
    if os.environ.get("KERAS_BACKEND") == "jax":
        from mae.engines.jax import processes as module
    else:
        from mae.engines.tensorflow import strategy as module
    module.SILENCE_S = silence_s


if __name__ == "__main__":
    steering = json.loads(sys.argv.pop(1))
    if "hold_at" in steering:
        hold_at(steering["hold_at"])
    if "silence_s" in steering:
        stay_patient(steering["silence_s"])
    runpy.run_path(str(Path(__file__).parents[2] / steering["script"]), run_name="__main__")
