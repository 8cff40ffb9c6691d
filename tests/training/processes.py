"""`python pretrain.py` in processes of its own: to be killed, or to work together."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from configured import SMALL_RUN
from patience import PATIENCE
from xla_flags import COMPILED_SOON


def start(*overrides, steering=None, script="pretrain.py", **environment):
    """A process that runs the small configuration with overrides; of two of a key the later one holds.

    `steering`: see `steered_run.py`; one that is held goes on once it is asked to `finish`.
    """
    base = SMALL_RUN if script == "pretrain.py" else ()
    last = {override.split("=", 1)[0]: override for override in (*base, *overrides)}
    script, *told = ("steered_run.py", json.dumps({"script": script, **steering})) if steering else (f"../../{script}",)
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / script), *told, *last.values()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1", **environment},
    )


def start_cluster(count, *overrides, each=None, hold_at=None, silence_s=PATIENCE, script="pretrain.py"):
    """So many workers on this machine, of the engine that `KERAS_BACKEND` names.

    Args:
        each: further overrides of every one.
        hold_at: a step after whose record the chief waits until it is asked to `finish`.
        silence_s: of a worker, before the others give it up.
    """
    each = each or [()] * count
    patient = {"silence_s": silence_s}
    held = patient if hold_at is None else {**patient, "hold_at": hold_at}
    return [
        start("strategy=multiworker", *overrides, *own, *place, steering=steering, script=script, **environment)
        for (place, environment), own, steering in zip(
            _places(count), each, [held, *[patient] * (count - 1)], strict=True
        )
    ]


def _places(count):
    """Overrides and environment that tell each worker who it is."""
    if os.environ.get("KERAS_BACKEND") == "jax":
        # One device each, where the tests' own processes have four.
        (coordinator,) = addresses(1)
        return [
            ((f"coordinator={coordinator}", f"process={i}/{count}"), {"XLA_FLAGS": COMPILED_SOON}) for i in range(count)
        ]
    workers = addresses(count)
    tasks = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}} for i in range(count)]
    return [((), {"TF_CONFIG": json.dumps(task)}) for task in tasks]


def addresses(count):
    """So many free ones on this machine."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    free = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return free


def finish(process):
    """Exit status and output."""
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, output


def read_until(process, text):
    """The lines up to the one with a text in it; all there are where the process ends before."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            break
    return "".join(lines)


def kill(process):
    """SIGKILL: the process can do nothing about it."""
    process.kill()
    process.communicate()
