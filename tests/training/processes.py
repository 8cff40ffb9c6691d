"""`python pretrain.py` in processes of its own: to be killed, or to work together."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from configured import SMALL_RUN

ROOT = Path(__file__).parents[2]
PATIENCE = 300  # seconds


def start(*overrides, **environment):
    """A process that runs the small configuration with overrides; of two of a key the later one holds."""
    last = {override.split("=", 1)[0]: override for override in (*SMALL_RUN, *overrides)}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "pretrain.py"), *last.values()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1", **environment},
    )


def start_cluster(count, *overrides, each=None):
    """So many workers on this machine; `each`: further overrides of every one."""
    each = each or [()] * count
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    workers = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    tasks = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}} for i in range(count)]
    return [
        start("strategy=multiworker", *overrides, *own, TF_CONFIG=json.dumps(task))
        for task, own in zip(tasks, each, strict=True)
    ]


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
