"""How many clips a second pre-training can be expected to make here, for each size of model."""

import time
from typing import Any

from mae.doctor.finding import Finding
from mae.doctor.trial import Trial
from mae.engines.rate import matmul_rate
from mae.masking import num_masked
from mae.models.work import flops_per_clip
from mae.presets import PRESETS, Architecture

MASK_RATIO = 0.9
LONGEST_STEP_S = 8.0  # of a size that is timed; larger ones are told from their work
_TOKENS = 16_000  # of a step's clips together: so many that the work of a small model is not mostly calls
_STEPS = 3  # timed; the fastest one counts
_FIRST_SHARE = 0.2  # of the rate, to guess how long the first steps take


def check_speed(engine: Any) -> Finding:
    """Times steps of the smaller sizes, and derives the larger ones from the share of the matmul rate of the last."""
    dtype = engine.dtype_policy("auto").compute_dtype
    rate = matmul_rate(engine, dtype) * engine.num_replicas
    rows = [f"{dtype} matmul: {rate / 1e9:.0f} GFLOP/s; training at mask_ratio={MASK_RATIO}, without reading videos:"]
    share, timed, is_timing = _FIRST_SHARE, "", True
    for name, a in PRESETS.items():
        clips = max(1, _TOKENS // a.num_tokens) * engine.num_replicas
        work = _work(a)
        is_timing = is_timing and clips * work / (share * rate) < LONGEST_STEP_S
        if is_timing:
            speed, timed = clips / _seconds_of_step(engine, a, clips), name
            share = speed * work / rate
            how = f"timed, {share:.0%} of the rate"
        else:
            speed, how = share * rate / work, f"as much of the rate as {timed}" if timed else f"{share:.0%} of the rate"
        shown = f"{speed:.0f}" if speed >= 10 else f"{speed:.2g}"
        rows.append(f"{name}: {shown} clips/s of {a.num_frames} × {a.image_size}² ({how})")
    return Finding("speed", "\n".join(rows))


def _work(a: Architecture) -> float:
    masked = num_masked("tube", a.grid, MASK_RATIO)
    return flops_per_clip(a, a.num_tokens - masked, masked)


def _seconds_of_step(engine: Any, architecture: Architecture, clips: int) -> float:
    trial = Trial(engine, engine.suited(architecture, ()), clips, MASK_RATIO, precision="auto")
    trial.make_steps(1)  # compiled
    times = []
    for _ in range(_STEPS):
        started = time.perf_counter()
        trial.make_steps(1)
        times.append(time.perf_counter() - started)
    return min(times)
