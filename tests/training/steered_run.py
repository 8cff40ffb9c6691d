"""`python steered_run.py {"hold_at": …, "silence_s": …} …`: `pretrain.py …`, independent of how fast the machine is.

`hold_at`: a step after whose record it waits for its standard input to end. What is done to it meanwhile comes after
that step and before the next one. `silence_s`: how long a worker may be silent.
"""

import json
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
    from mae.engines.tensorflow import strategy

    strategy.SILENCE_S = silence_s


if __name__ == "__main__":
    steering = json.loads(sys.argv.pop(1))
    if "hold_at" in steering:
        hold_at(steering["hold_at"])
    if "silence_s" in steering:
        stay_patient(steering["silence_s"])
    runpy.run_path(str(Path(__file__).parents[2] / "pretrain.py"), run_name="__main__")
