"""How long one training step takes and how much memory, beside the same step elsewhere:
`python benchmarks/train_step.py [--backend tensorflow jax] [--precision bfloat16] [--peer] [--json result.json]`.

A worker process of each backend makes the project's own pre-training step (forward, backward, AdamW update) on
synthetic clips; none needs what another one needs. With `--peer` one more makes the same step of transformers' VideoMAE
on PyTorch (benchmarks/peer_step.py). They take turns step by step, each with all cores, so that whatever else the
machine does slows all of them. Peak memory is a GPU's largest use, or on a CPU the largest resident size of the worker
over what it had after its imports. The matmul rate is that of a large square product in the same process and dtype,
measured after the steps. "ready" is the time from the worker's start to the end of its first step.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measures import best_of, matmul_side, peak_resident, resident
from results import write_result

from mae.models.work import flops_per_clip


def synthetic_batch(a: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Clips and masks as `mae.data.pipeline` gives them."""
    import numpy as np

    from mae.masking import tube_mask

    rng = np.random.default_rng(0)
    shape = (options.clips, *a.video_shape)
    batch = {
        "videos": rng.integers(0, 256, shape, "uint8"),
        "is_masked": tube_mask(a.grid, options.mask_ratio, options.clips, seed=0),
        "valid": np.ones(options.clips, "float32"),
        "short": np.zeros(options.clips, "float32"),
        "decode_ms": np.zeros(options.clips, "float32"),
    }
    if options.decoder_mask_ratio:
        from mae.masking import running_cell_mask

        batch["is_decoder_masked"] = running_cell_mask(a.grid, options.decoder_mask_ratio, options.clips, seed=0)
    return batch


def our_step(options: argparse.Namespace) -> tuple[Callable[[], float], Callable[[], float], float]:
    """A function that makes a step and gives its loss, one that gives the matmul rate, and FLOPs per clip."""
    from mae.engines.engine import Setup, StepSettings
    from mae.engines.start import build_optimizer, start_engine
    from mae.masking import num_masked, num_predicted
    from mae.models.pretrainer import Pretrainer
    from mae.presets import architecture
    from mae.pretraining.step import pretraining_losses

    names = ("attention", "attention_chunk", "lean")
    chosen = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    engine = start_engine(Setup("mirrored" if options.devices > 1 else "single"))
    a = architecture(options.model, num_frames=options.frames, remat=options.remat, **chosen)
    with engine.scope():
        model = Pretrainer(engine.suited(a, chosen), dtype=engine.dtype_policy(options.precision))
        model.build()
        optimizer = build_optimizer(model, learning_rate=1e-4)
    masked = num_masked("tube", a.grid, options.mask_ratio)
    predicted = num_predicted("tube", a.grid, options.mask_ratio, options.decoder_mask_ratio)
    losses_of = pretraining_losses(model, "videomae", masked, predicted if options.decoder_mask_ratio else None)
    step = engine.step(model, optimizer, losses_of, StepSettings(options.clips, options.accumulate, options.jit))
    batches = engine.distribute(itertools.repeat(synthetic_batch(a, options)), options.accumulate)

    def matmul_rate() -> float:
        import keras

        side = matmul_side(options)
        x = keras.ops.cast(keras.random.normal((side, side)), options.precision)
        # An argument: a constant would be multiplied while it is compiled.
        product = compiled(lambda x: keras.ops.sum(keras.ops.cast(keras.ops.matmul(x, x)[:1], "float32")))
        return 2 * side**3 / best_of(5, lambda: float(product(x)))

    flops = flops_per_clip(a, a.num_tokens - masked, predicted[0])
    return lambda: float(step(next(batches))["loss"]), matmul_rate, flops


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of Keras' operations, as its backend compiles it."""
    if os.environ["KERAS_BACKEND"] == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function)


def load_backend(name: str, devices: int) -> None:
    """Imports what a worker needs, so that it counts as import and not as memory of a step; it sees so many devices."""
    os.environ["KERAS_BACKEND"] = name
    if devices > 1:
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    if name == "jax":
        import jax  # noqa: F401
    else:
        import tensorflow as tf

        if devices > 1 and not tf.config.list_physical_devices("GPU"):
            logical = [tf.config.LogicalDeviceConfiguration()] * devices
            tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)


def peak_on_gpu(whose: str) -> int | None:
    """Bytes of the first GPU at its peak; None where there is none."""
    if whose == "peer":
        import torch

        return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    if whose == "jax":
        import jax

        device = jax.devices()[0]
        return device.memory_stats()["peak_bytes_in_use"] if device.platform == "gpu" else None
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"] if tf.config.list_physical_devices("GPU") else None


def work(whose: str, options: argparse.Namespace) -> None:
    """The worker: for each line on standard input it makes a step and prints the seconds; at the end it reports."""
    started = time.perf_counter()
    if whose == "peer":
        from peer_step import peer_step as make
    else:
        load_backend(whose, options.devices)
        make = our_step
    before = resident()
    step, matmul_rate, flops = make(options)
    step()  # traced and compiled, slots made
    print(json.dumps(time.perf_counter() - started), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = step()
        seconds = time.perf_counter() - start
        if not math.isfinite(loss):
            sys.exit(f"{whose}: the loss is {loss}")
        print(json.dumps(seconds), flush=True)
    on_gpu = peak_on_gpu(whose)
    peak = peak_resident() - before if on_gpu is None else on_gpu
    print(json.dumps({"peak": peak, "flops": flops, "rate": matmul_rate()}), flush=True)


class Worker:
    """A process that makes steps when told."""

    def __init__(self, name: str, words: list[str]) -> None:
        self.name = name
        self.times: list[float] = []
        command = [sys.executable, __file__, "--worker", name, *words]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.ready_s: float = self._answer()

    def step(self) -> None:
        assert self._process.stdin is not None
        print("step", file=self._process.stdin, flush=True)
        self.times.append(self._answer())

    def finish(self) -> dict[str, float]:
        """Bytes at the peak, FLOPs per clip and the matmul rate."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"the worker {self.name!r} ended with status {self._process.wait()}")
        return json.loads(line)


def main(options: argparse.Namespace, words: list[str]) -> None:
    workers = [Worker(name, words) for name in (*options.backend, *(["peer"] if options.peer else []))]
    for _ in range(options.rounds):
        for worker in workers:
            worker.step()
    reports = [worker.finish() for worker in workers]
    size = f"{options.model}, {options.clips} clips of {options.frames} frames"
    print(f"{size}, {options.precision}, {options.rounds} rounds")
    names = ("best s", "median s", "clips/s", "GFLOP/clip", "of matmul", "peak GB", "ready s")
    print(" ".join([f"{'':<10}", *(f"{name:>10}" for name in names)]))
    rows = [row(worker, report, options) for worker, report in zip(workers, reports, strict=True)]
    for worker, figures in zip(workers, rows, strict=True):
        print(" ".join([f"{worker.name:<10}", *(f"{value:10.3g}" for value in figures.values())]))
    last = rows[-1]  # the peer, where there is one
    ratios = {}
    for worker, figures in list(zip(workers, rows, strict=True))[:-1]:
        speed, best = (last[name] / figures[name] for name in ("median s", "best s"))
        ratios[worker.name] = {"speed": speed, "memory": figures["peak GB"] / last["peak GB"]}
        print(
            f"{worker.name}: speed {speed:.2f}× the {workers[-1].name}'s by medians, {best:.2f}× by best; "
            f"memory {ratios[worker.name]['memory']:.2f}×"
        )
    if options.json:
        figures = {worker.name: figures for worker, figures in zip(workers, rows, strict=True)}
        told = {name: value for name, value in vars(options).items() if name != "json"}
        write_result(options.json, words, {**figures, "ratios": ratios}, options=told)


def row(worker: Worker, report: dict[str, float], options: argparse.Namespace) -> dict[str, float]:
    """The figures of a worker."""
    median = statistics.median(worker.times)
    return {
        "best s": min(worker.times),
        "median s": median,
        "clips/s": options.clips / median,
        "GFLOP/clip": report["flops"] / 1e9,
        "of matmul": report["flops"] * options.clips / median / report["rate"] / options.devices,
        "peak GB": report["peak"] / 1e9,
        "ready s": worker.ready_s,
    }


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--model", default="vit_small", help="a preset")
    parser.add_argument("--clips", type=int, default=8, help="in a batch")
    parser.add_argument("--frames", type=int, default=16, help="in a clip")
    parser.add_argument("--mask-ratio", type=float, default=0.9)
    parser.add_argument("--decoder-mask-ratio", type=float, default=0.0, help="0, 0.25, 0.5 or 0.75; the peer has none")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--backend", choices=("tensorflow", "jax"), nargs="+", default=["tensorflow"])
    parser.add_argument("--devices", type=int, default=1, help="of each backend: GPUs, else logical ones of the CPU")
    parser.add_argument("--attention", choices=("chunked", "plain", "fused"), help="default: as suits the devices")
    parser.add_argument("--attention-chunk", type=int, help="scores that chunked attention holds at once")
    parser.add_argument("--lean", action=argparse.BooleanOptionalAction, help="or formulas as they stand")
    parser.add_argument("--remat", choices=("none", "blocks"), default="none")
    parser.add_argument("--accumulate", type=int, default=1, help="parts that the clips are computed in")
    parser.add_argument("--jit", action="store_true", help="TensorFlow: compile with XLA")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer", action="store_true", help="needs torch and transformers")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    match sys.argv[1:]:
        case ["--worker", whose, *words]:
            work(whose, parse(words))
        case words:
            main(parse(words), words)
