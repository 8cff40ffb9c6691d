"""What computes here, how fast, and whether several replicas agree."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from mae.doctor.finding import Finding, fatal
from mae.doctor.replicas import NEAR
from mae.errors import ConfigError, one_line
from mae.masking import num_masked
from mae.models.work import flops_per_clip
from mae.presets import PRESETS

MASK_RATIO = 0.9
SIDE, SIDE_ON_GPU = 2048, 8192  # of the matrices that give the rate
# What a step of ViT-S reached of the matmul's rate on a CPU in float32: docs/benchmarks.md. Of GPUs nothing is known.
SHARE = {"tensorflow": 0.70, "jax": 0.49}
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
    remedy = "pip install -c constraints.txt -e . for the versions that were tested; until then strategy=single"
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


def matmul_rate(dtype: str, side: int) -> float:
    """Floating-point operations a second of a large matrix product: the best of five."""
    from keras import ops

    matrix = ops.cast(ops.ones((side, side)), dtype)

    def multiply() -> None:
        ops.convert_to_numpy(ops.matmul(matrix, matrix)[0, 0])  # which waits for the device

    return 2 * side**3 / _best_of(5, multiply)


def check_speed(engine: Any) -> Finding:
    """Clips a second that pre-training can be expected to make here, for each size of model."""
    has_cpu_alone = engine.describe_devices().startswith("CPU")
    dtype = engine.dtype_policy("auto").compute_dtype
    rate = matmul_rate(dtype, SIDE if has_cpu_alone else SIDE_ON_GPU)
    share, word = (SHARE[engine.name], "about") if has_cpu_alone else (1.0, "at most")
    told = f"a {dtype} matmul makes {rate / 1e9:.0f} GFLOP/s"
    how = f"of which a step of ViT-S reached {share:.0%} where it was measured" if has_cpu_alone else "on one device"
    rows = [f"{told}, {how}; derived from that, training at mask_ratio={MASK_RATIO}:"]
    for name, a in PRESETS.items():
        masked = num_masked("tube", a.grid, MASK_RATIO)
        clips = share * rate / flops_per_clip(a, a.num_tokens - masked, masked)
        clip = f"{a.num_frames} × {a.image_size}²"
        rows.append(f"{name}: {word} {clips:.{0 if clips >= 10 else 2}f} clips/s of {clip}")
    return Finding("speed", "\n".join(rows))


def _best_of(rounds: int, work: Callable[[], None]) -> float:
    """Seconds of the fastest call, after one that does not count."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
