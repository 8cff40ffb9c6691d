"""What computes here, and whether several replicas agree."""

import os
import subprocess
import sys
from typing import Any

from mae.cli.commands import to_install
from mae.doctor.finding import Finding, fatal
from mae.doctor.replicas import NEAR
from mae.errors import ConfigError, one_line

_TIMEOUT_S = 600


def check_devices(setup: Any) -> tuple[Any, list[Finding]]:
    """The engine, None where it does not start, and what is to be said about it."""
    from mae.engines.start import start_engine

    try:
        engine = start_engine(setup)
    except ConfigError as error:
        said, _, remedy = one_line(error).partition(": ")
        return None, [fatal("devices", said, remedy or "see above")]
    kinds = [name for name in ("bfloat16", "float32") if engine.dtype_policy("auto").compute_dtype == name]
    text = f"{engine.describe_devices()}; {engine.name} computes in {kinds[0]} (precision=auto)"
    return engine, [Finding("devices", text)]


def check_replicas(backend: str) -> Finding:
    """Two replicas against one, in a process of its own: devices can be split before anything is computed only."""
    command = [sys.executable, "-m", "mae.doctor.replicas"]
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    remedy = f"{to_install(backend)} -c constraints.txt, which names the versions tested; until then strategy=single"
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S)
        difference = float(ended.stdout.split()[-1])
    except subprocess.TimeoutExpired:
        return Finding("replicas", f"no answer within {_TIMEOUT_S} s", "try again when less is computed here")
    except (IndexError, ValueError):
        reason = (ended.stderr.strip().splitlines() or ["no output"])[-1]
        return fatal("replicas", f"the check ended with status {ended.returncode}: {reason}", remedy)
    text = f"weights after two steps on two replicas and on one differ by {difference:.0e} at most"
    if not difference < NEAR:
        return fatal("replicas", text, remedy)
    return Finding("replicas", text)
